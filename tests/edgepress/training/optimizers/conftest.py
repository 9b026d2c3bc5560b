"""A small network, and one optimizer of each kind on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgepress.methods import resolve
from edgepress.training.optimizers.optimizer import Group, Optimizer
from tests.parts import OPTIMIZERS

RATE = 0.02
DECAY = 0.01


class Bench:
    """What the tests of optimizers are made of."""

    rate, decay, entries = RATE, DECAY, OPTIMIZERS

    @staticmethod
    def network() -> nn.Module:
        """Return a network channels last, one of whose parameters does not learn."""
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3)
        )
        network[0].bias.requires_grad = False
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    @staticmethod
    def build(network: nn.Module, entry: dict[str, Any]) -> Optimizer:
        """Return an optimizer of a network: weights decay, vectors do not."""
        learnt = {n: p for n, p in network.named_parameters() if p.requires_grad}
        groups = [
            Group({n: p for n, p in learnt.items() if p.ndim > 1}, RATE, DECAY),
            Group({n: p for n, p in learnt.items() if p.ndim <= 1}, RATE, 0.0),
        ]
        built: Optimizer = resolve("training.optimizers", entry, "test", "optimizer")(groups)
        return built

    @staticmethod
    def descend(network: nn.Module, step: Callable[[], None], seed: int) -> None:
        """Take one step on images of a seed."""
        images = torch.rand(8, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
        network.zero_grad()
        nn.functional.cross_entropy(network(images), torch.arange(8) % 3).backward()
        step()

    @staticmethod
    def same(first: nn.Module, second: nn.Module) -> bool:
        """Tell whether all weights are equal, bit for bit."""
        pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """Return what the tests of optimizers are made of."""
    return Bench
