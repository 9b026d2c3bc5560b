"""Answering: what a network says of examples, raw or decoded, and the scores of that."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from edgepress.bundles.network import named
from edgepress.progress import Progress, silent
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task, joined
from edgepress.training import machine
from edgepress.training.examples import Dataset, Normalise, in_order

BATCH = 64
"""Images per forward pass outside training."""
CONFIDENCE = 0.95
"""Of the intervals of scores while training."""


def outputs(
    network: nn.Module, examples: Dataset, names: tuple[str, ...], rows: range | None = None
) -> Iterator[Arrays]:
    """Yield a network's float32 outputs in eval mode by name, a batch of images at a time.

    Those to a run of rows of the examples, or to all.
    """
    on = machine.device()
    network = machine.place(network, on).eval()
    normalise = Normalise(examples.spec, on)
    rows = range(len(examples)) if rows is None else rows
    for images, _ in examples.batches(in_order(rows, BATCH)):
        with torch.inference_mode():
            found = named(network(normalise(images.to(on))), names)
        yield {name: value.cpu().numpy() for name, value in found.items()}


def answers(
    network: nn.Module,
    examples: Dataset,
    task: Task,
    progress: Progress = silent,
    rows: range | None = None,
) -> Arrays:
    """Return the network's decoded answers to a run of rows of the examples, or to all images."""
    names = tuple(output.name for output in task.answers.outputs(examples.spec))
    deployed = task.learner.deployed(network)
    found = []
    for batch in outputs(deployed, examples, names, rows):
        found.append(task.answers.decode(batch, examples.spec))
        progress("answering test images", min(len(found) * BATCH, len(examples)), len(examples))
    return joined(found)


def scores(network: nn.Module, examples: Dataset, task: Task) -> tuple[Score, ...]:
    """Return the network's scores on labelled images, the gated one first."""
    return task.answers.score(answers(network, examples, task), None, examples.truth, CONFIDENCE)
