"""Digit scenes of 32 pixels as examples, and networks that learn them in a moment."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgepress.bundles.network import Blueprint, build, named
from edgepress.data.labels import Seen
from edgepress.data.preprocess import normalise
from edgepress.data.sources import digit_scenes
from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob
from edgepress.records.bundle import Bundle
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import Quantized, Recipe
from edgepress.records.target import Target
from edgepress.tasks.task import Task, joined
from edgepress.training.examples import Examples

SIDE, TRAIN = 32, 300
SPEC = InputSpec(height=SIDE, width=SIDE, channels=1, mean=(0.3,), std=(0.35,))
CODING = {"method": "default_boxes", "ratios": [2.0], "least": 0.3, "most": 0.6}
QUERIES = {"strides": [], "overlap": 1.0, "coding": {"method": "queries", "queries": 20}}
ENTRY: dict[str, Any] = {
    "method": "detection",
    "strides": [4, 8],
    "most_objects": 4,
    "most_answers": 20,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.4,
}
CLASSES = ("0", "1", "4")
TASKS = {
    "distances": Task.open(ENTRY, CLASSES, "test"),
    "default_boxes": Task.open({**ENTRY, "coding": CODING}, CLASSES, "test"),
    "queries": Task.open({**ENTRY, **QUERIES}, CLASSES, "test"),
}
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}


@cache
def examples() -> tuple[Examples, Examples]:
    """Return scenes to learn from and others."""
    params = digit_scenes.Params(
        method="digit_scenes", scenes=450, side=SIDE, least=0, most=2, digits=(0, 1, 4)
    )
    rules, pictures, truths = TASKS["distances"].labels, [], []
    for _, canvas, objects in digit_scenes._scenes(params):
        label = {"width": SIDE, "height": SIDE, "relative": False, "objects": objects}
        kept = rules.admit(label, Seen(SIDE, SIDE), _no_file)
        truths.append(rules.truth(kept.label, SPEC, _no_file))
        pictures.append(canvas[..., None])
    truth, pixels = joined(truths), np.stack(pictures)

    def part(rows: slice) -> Examples:
        return Examples(pixels[rows], {name: each[rows] for name, each in truth.items()}, SPEC)

    return part(slice(TRAIN)), part(slice(TRAIN, None))


def _no_file(path: str) -> bytes:
    raise AssertionError(path)


def network(task: Task, head: dict[str, Any], spec: InputSpec = SPEC) -> nn.Module:
    """Return a fresh network, the same each time."""
    torch.manual_seed(0)
    return build(Blueprint(BACKBONE, head, spec, task.learner.outputs(spec)))


def learnt(task: Task, head: dict[str, Any], steps: int) -> nn.Module:
    """Return a network that has learnt so many batches of 16."""
    made, data = network(task, head).train(), examples()[0]
    names = tuple(each.name for each in task.learner.outputs(SPEC))
    inputs = torch.from_numpy(normalise(data.pixels, SPEC))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(made.parameters(), 0.01)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.01 * min((step + 1) / 20, 1 - step / steps)
        rows = torch.randint(len(inputs), (16,), generator=generator)
        ((_, truth),) = data.batches([rows.numpy()])
        loss = task.learner.loss(named(made(inputs[rows]), names), truth)
        optimizer.zero_grad()
        loss["loss"].backward()
        optimizer.step()
    return made.eval()


def job(task: Task, model: nn.Module, head: dict[str, Any], out: Path, key: str) -> ExportJob:
    """Return the job of exporting a network for a target."""
    target = Target.parse(key)
    int8 = target.precision == "int8"
    kind: Any = "int8" if int8 else "float32"
    quantized = Quantized(
        precision=target.precision,
        method="ptq" if int8 else "none",
        recipe=Recipe(weights=kind, activations=kind, per_channel=True),
        bundle_sha256="b" * 64,
        calibration_sha256="c" * 64 if int8 else None,
        reference_sha256="r" * 64,
    )
    bundle = Bundle(
        task=task.entry,
        backbone=BACKBONE,
        head=head,
        classes=CLASSES,
        input=SPEC,
        parameters=1,
        macs=1,
        lineage={},
        weights_sha256="w" * 64,
    )
    calibration = CalibrationImages(examples()[0].pixels[:64], SPEC) if int8 else None
    out.mkdir(parents=True, exist_ok=True)
    outputs = task.answers.outputs(SPEC)
    return ExportJob(target, quantized, model, bundle, outputs, calibration, out)
