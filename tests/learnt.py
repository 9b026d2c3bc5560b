"""Networks that have learnt a little, written as exports, for what answers pictures of users."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.validation.subject import Subject
from tests import shapes, spots
from tests.exported import export_as

KEY = "x86_64-onnxruntime-fp32"
POINTS: dict[str, Any] = {**spots.ENTRY, "inside": {"margin": 0.25}}


@functools.cache
def detector_weights() -> shapes.Weights:
    """Return weights of the finder of coloured shapes after 150 steps."""
    return shapes.learnt(shapes.shapes(160, 0), 0, 150, 149)[1]


@functools.cache
def pose_weights() -> spots.Weights:
    """Return weights of the finder of coloured spots after 120 steps."""
    return spots.learnt(spots.spots(160, 0), 1, 120)[1]


def detector(folder: Path, task: Task = shapes.TASK, spec: InputSpec = shapes.SPEC) -> Subject:
    """Write the finder of shapes into a new folder."""
    return export_as(shapes.graph(detector_weights()), folder, KEY, (task, spec))


def pose(folder: Path, entry: dict[str, Any] = POINTS) -> Subject:
    """Write the finder of spots into a new folder; of objects in boxes, unless asked otherwise."""
    task = Task.open(entry, spots.TASK.classes, "test")
    return export_as(spots.graph(pose_weights()), folder, KEY, (task, spots.SPEC))
