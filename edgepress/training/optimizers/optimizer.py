"""Optimizer: what the methods of this room return, what they are given, and what they remember."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Group:
    """Parameters that learn alike, by their names in the network."""

    named: dict[str, nn.Parameter]
    rate: float
    """Peak of their learning rate."""
    weight_decay: float


@dataclass
class Memory:
    """All that an optimizer carries from step to step; a checkpoint keeps it."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    """By kind and parameter, `momentum/head.fc.weight`."""
    plain: dict[str, Any] = field(default_factory=dict)
    """What is no tensor, as JSON can say it."""


class Optimizer(Protocol):
    """An optimizer of one network's parameters."""

    def step(self, share: float) -> None:
        """Move every parameter that has a gradient, at a share of its group's learning rate."""
        ...

    def memory(self) -> Memory:
        """Return what the next step depends on besides weights and gradients."""
        ...

    def recall(self, memory: Memory) -> None:
        """Go on from what an optimizer of the same groups remembered."""
        ...
