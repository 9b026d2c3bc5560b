"""Slimmed: what every pruning method returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgepress.records.bundle import Resize


@dataclass(frozen=True)
class Slimmed:
    """A smaller network, the steps that shape a fresh one like it, and one record per epoch."""

    network: nn.Module
    surgery: tuple[Resize, ...]
    history: list[dict[str, float]]
