"""Functional: an optimizer whose step is one function of parameters, gradients and tensors kept.

`torch.optim`'s classes call such functions too, but import torch's compiler when they are made:
4.5 s of every process that trains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgepress.training.optimizers.optimizer import Group, Memory


@dataclass(frozen=True)
class Moved:
    """The parameters of a group that have a gradient, at one step."""

    names: list[str]
    parameters: list[Tensor]
    gradients: list[Tensor]
    rate: float
    weight_decay: float
    tensors: dict[str, Tensor]
    """What is kept of all groups, by kind and name."""

    def kept(self, kind: str, fresh: Callable[[Tensor], Tensor] = torch.zeros_like) -> list[Tensor]:
        """Return the tensors of a kind, one a parameter, `fresh(parameter)` where there is none."""
        for name, parameter in zip(self.names, self.parameters, strict=True):
            if f"{kind}/{name}" not in self.tensors:
                self.tensors[f"{kind}/{name}"] = fresh(parameter)
        return [self.tensors[f"{kind}/{name}"] for name in self.names]


class Functional:
    """Groups of parameters, and the function that moves one of them."""

    def __init__(self, groups: Sequence[Group], move: Callable[[Moved], None]) -> None:
        """Remember nothing yet."""
        self._groups, self._move = groups, move
        self._memory = Memory()

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Move every parameter that has a gradient, at a share of its group's learning rate."""
        for group in self._groups:
            found = {name: p for name, p in group.named.items() if p.grad is not None}
            moved: list[Tensor] = list(found.values())
            gradients = [each.grad for each in moved if each.grad is not None]
            rate, decay = group.rate * share, group.weight_decay
            kept = self._memory.tensors
            self._move(Moved(list(found), moved, gradients, rate, decay, kept))

    def memory(self) -> Memory:
        """Return the tensors kept."""
        return self._memory

    def recall(self, memory: Memory) -> None:
        """Go on from the tensors kept by another."""
        self._memory = memory


def counter(_: Tensor) -> Tensor:
    """Return the zero from which torch's functions count a parameter's steps."""
    return torch.tensor(0.0)
