"""Supervised training: the task's own loss on labels, optionally smoothed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from edgepress.bundles.network import named
from edgepress.training.criterion import criterion
from edgepress.training.loop import Batch, Job, fit
from edgepress.training.recipe import Recipe


class Params(Recipe):
    """The loop's recipe and the label smoothing."""

    method: Literal["supervised"]
    label_smoothing: float = Field(ge=0, lt=1)
    """Share of the target spread evenly over all classes."""


def train(job: Job, *, params: Params) -> list[dict[str, float]]:
    """Train job.network in place; return one record per epoch."""
    names = tuple(output.name for output in job.learner.outputs(job.train.spec))
    cost = criterion(job, params, params.label_smoothing)

    def objective(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        found = named(network(batch.inputs), names)
        return cost(found, batch.truth)

    return fit(job, params, objective)
