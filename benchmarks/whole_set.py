"""A small set through the pipeline's own rooms, for benchmarks: ingested, decoded, learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgepress.bundles.network import Blueprint, build
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

SPLITS = ("train", "val", "test")
RECIPE: dict[str, Any] = {
    "method": "supervised",
    "weight_decay": 5e-4,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "precision": "fp32",
    "label_smoothing": 0.0,
}


@dataclass(frozen=True)
class Setting:
    """What is learnt, from what, by which network and recipe."""

    task: dict[str, Any]
    source: dict[str, Any]
    spec: InputSpec
    backbone: dict[str, Any]
    head: dict[str, Any]
    recipe: dict[str, Any]


@dataclass(frozen=True)
class Data:
    """The three splits as they were ingested and as they are learnt."""

    task: Task
    images: dict[str, ImageSet]
    examples: dict[str, Examples]


def read(setting: Setting, folder: Path, group: dict[str, Any] | None, out: Path) -> Data:
    """Ingest the set and decode it at the model's size."""
    task = ingested(setting, folder, group, out)
    images = {split: ImageSet.open(out, split) for split in SPLITS}
    examples = {split: learnable(these, task, setting.spec) for split, these in images.items()}
    return Data(task, images, examples)


def ingested(setting: Setting, folder: Path, group: dict[str, Any] | None, out: Path) -> Task:
    """Write the set's manifest into `out` and return the task."""
    source = resolve("data.sources", {**setting.source, "path": str(folder)}, "benchmark", "source")
    share = {"val": 0.1, "test": 0.2, "group": group}
    rules = Rules.model_validate({"split": share, "limit": None})
    listing = source(out)
    task = Task.open(setting.task, listing.classes, "benchmark")
    build_manifest(listing, out, rules, Labelling(task.entry, task.labels))
    return task


def learnable(images: ImageSet, task: Task, spec: InputSpec) -> Examples:
    """Decode images and their truths at the model's size."""
    return Examples(images.pixels(spec), images.truth(task.labels, spec), spec)


def trained(
    setting: Setting, task: Task, examples: Examples, seed: int, epochs: int
) -> torch.nn.Module:
    """Return the network after training as the stage trains."""
    torch.manual_seed(seed)
    outputs = task.learner.outputs(setting.spec)
    network = build(Blueprint(setting.backbone, setting.head, setting.spec, outputs))
    recipe = resolve("training", {**setting.recipe, "epochs": epochs}, "benchmark", "train.recipe")
    recipe(Job(network, examples, None, seed, task))
    return network
