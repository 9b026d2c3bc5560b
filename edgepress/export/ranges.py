"""Ranges: scales and zero points of what a recipe leaves open, from the tensors themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx


@dataclass
class Range:
    """Smallest and largest value seen, 0 among them."""

    low: float = 0.0
    high: float = 0.0

    def see(self, values: Tensor) -> None:
        """Widen the range by a tensor."""
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))


def observed(
    module: fx.GraphModule,
    nodes: Collection[fx.Node],
    images: Iterable[npt.NDArray[np.float32]],
) -> dict[fx.Node, Range]:
    """Run a graph over images [1, C, H, W], one in memory at a time; return ranges of nodes."""
    watch = _Watch(module, nodes)
    with torch.no_grad():
        for image in images:
            watch.run(torch.from_numpy(image))
    return watch.seen


def of_activation(seen: Range, bits: int, symmetric: bool) -> tuple[float, int]:
    """Return scale and zero point that cover a range with signed integers of some bits."""
    half = 2 ** (bits - 1)
    if symmetric:
        return max(-seen.low, seen.high, 1e-12) / (half - 1), 0
    scale = max(seen.high - seen.low, 1e-12) / (2 * half - 1)
    return scale, max(-half, min(half - 1, round(-half - seen.low / scale)))


def of_weight(weight: Tensor, bits: int, axis: int | None) -> Tensor:
    """Return symmetric scales of a weight: one, or one per slice along `axis`."""
    flat = weight.reshape(1, -1) if axis is None else weight.movedim(axis, 0).flatten(1)
    scales: Tensor = flat.abs().amax(1).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
    return scales


class _Watch(fx.Interpreter):
    """Runs a graph and widens the ranges of some nodes."""

    def __init__(self, module: fx.GraphModule, nodes: Collection[fx.Node]) -> None:
        super().__init__(module)
        self.seen = {node: Range() for node in nodes}

    def run_node(self, n: fx.Node) -> Any:
        values = super().run_node(n)
        if n in self.seen:
            self.seen[n].see(values)
        return values
