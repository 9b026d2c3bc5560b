"""What tests of many rooms need of a classification: its manifest and its task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgepress.bundles.network import Blueprint, Network, build
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.listing import Listing
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from edgepress.tasks.task import Task

ENTRY: dict[str, Any] = {"method": "classification"}


def open_task(classes: tuple[str, ...]) -> Task:
    """Return the classification of some classes."""
    return Task.open(ENTRY, classes, "test")


def classified(
    listing: Listing, folder: Path, rules: Rules, seen: Callable[[int], None] = lambda count: None
) -> Manifest:
    """Write the manifest of a listing whose labels are classes."""
    labelling = Labelling(ENTRY, open_task(listing.classes).labels)
    return build_manifest(listing, folder, rules, labelling, seen)


def network(spec: InputSpec, classes: int, backbone: dict[str, Any]) -> Network:
    """Return a classifier of some backbone with fresh weights of the current seed."""
    task = open_task(tuple(map(str, range(classes))))
    outputs = task.learner.outputs(spec)
    return build(Blueprint(backbone, {"method": "linear"}, spec, outputs))
