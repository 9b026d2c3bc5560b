"""Groups: which of a network's parameters learn alike."""

from __future__ import annotations

from torch import nn

from edgepress.training.optimizers.optimizer import Group
from edgepress.training.recipe import Recipe


def grouped(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Return what learns in groups: weights decay, biases and normalisation do not."""
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
    matrices = {name: p for name, p in learnt.items() if p.ndim > 1}
    vectors = {name: p for name, p in learnt.items() if p.ndim <= 1}
    rate = recipe.learning_rate
    groups = [Group(matrices, rate, recipe.weight_decay), Group(vectors, rate, 0.0)]
    return [group for group in groups if group.named]
