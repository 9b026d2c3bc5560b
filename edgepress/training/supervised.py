"""Supervised training: cross-entropy on labels, optionally smoothed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgepress.training.loop import Batch, Job, Recipe, fit


class Params(Recipe):
    """The loop's recipe and the label smoothing."""

    method: Literal["supervised"]
    label_smoothing: float = Field(ge=0, lt=1)
    """Share of the target spread evenly over all classes."""


def train(job: Job, *, params: Params) -> list[dict[str, float]]:
    """Train job.network in place; return one record per epoch."""

    def objective(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = network(batch.inputs)
        loss = cross_entropy(logits, batch.labels, label_smoothing=params.label_smoothing)
        return loss, logits

    return fit(job, params, objective)
