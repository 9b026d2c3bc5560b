"""Structured channel pruning by group L2 magnitude over the dependency graph, then fine-tuning.

Paper: DepGraph, Fang et al. 2023, https://arxiv.org/abs/2301.12900; its graph is the torch-
pruning library's. Channels that depend on each other (through shortcuts, normalisation,
concatenation) leave together.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgepress.backbones import surgery
from edgepress.errors import UserError
from edgepress.pruning.slimmed import Slimmed
from edgepress.training.loop import Batch, Job, Recipe, fit


class Params(Recipe):
    """How much to cut, how to round, and the recipe of the fine-tuning."""

    method: Literal["group_magnitude"]
    ratio: float = Field(gt=0, lt=1)
    """Share of channels to remove from every group, before rounding."""
    round_to: int = Field(ge=1, le=256)
    """Channel counts stay multiples of this; 8 suits most INT8 kernels."""
    scope: Literal["uniform", "global"]
    """uniform removes the ratio in every group; global ranks all groups together."""


def prune(job: Job, *, params: Params) -> Slimmed:
    """Prune job.network, fine-tune it on the labels, and return it with its replayable surgery."""
    fresh = copy.deepcopy(job.network)
    _cut(job, params)
    steps = surgery.difference(fresh, job.network)
    if not steps:
        raise UserError(
            f"slim: ratio {params.ratio} removes nothing once channels are rounded to "
            f"{params.round_to}; raise ratio, lower round_to, or set method: none"
        )

    def objective(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = network(batch.inputs)
        return cross_entropy(logits, batch.labels), logits

    return Slimmed(job.network, steps, fit(job, params, objective))


def _cut(job: Job, params: Params) -> None:
    import torch_pruning

    network = job.network.cpu().train(mode=False)
    spec = job.train.spec
    pruner = torch_pruning.pruner.BasePruner(
        network,
        torch.zeros(spec.shape),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=params.ratio,
        global_pruning=params.scope == "global",
        round_to=params.round_to,
        ignored_layers=_classifiers(network, spec.shape),
    )
    pruner.step()


def _classifiers(network: nn.Module, shape: tuple[int, ...]) -> list[nn.Module]:
    """Return the layers whose output width is the number of classes: they must keep it."""
    with torch.inference_mode():
        classes = network(torch.zeros(shape)).shape[1]
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    last = layers[-1]
    return [last] if _width(last) == classes else [m for m in layers if _width(m) == classes]


def _width(layer: nn.Module) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else int(layer.out_channels)  # type: ignore[arg-type]
