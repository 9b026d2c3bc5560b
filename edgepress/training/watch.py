"""Watch: stops a run whose loss is no longer finite, or has exploded, and names the step.

The losses stay on the device until the loop reads its sums, so that no step waits for it. A run has
diverged where the median of its last `LAST` losses is above `TIMES` the least of its first `FIRST`:
by then the network is ten times worse than one that knows nothing, and a spike that passes has not
moved the median. A loss that begins below 1 is held as if it began at 1: a tiny one may well grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import torch
from torch import Tensor, nn

from edgepress.errors import UserError

FIRST, LAST, TIMES = 8, 32, 10.0


class Watch:
    """The losses of one run, as they come."""

    def __init__(self, history: Sequence[Mapping[str, float]]) -> None:
        """Begin a run; one that was resumed is held against the loss of its first epoch."""
        self._first = [history[0]["loss"]] * FIRST if history else []
        self._last: list[tuple[int, float]] = []
        self._unread: list[tuple[int, Tensor]] = []

    def step(self, step: int, loss: Tensor) -> None:
        """Take the loss of a step, counted from 1, unread."""
        self._unread.append((step, loss))

    def look(self, advice: str) -> None:
        """Read the losses; one that is not finite, or a run that has diverged, is a UserError."""
        read = list(self._read())
        for step, loss in read:
            if not math.isfinite(loss):
                raise UserError(f"training: the loss is not finite at step {step}; {advice}")
        self._first = (self._first + [loss for _, loss in read])[:FIRST]
        self._last = (self._last + read)[-LAST:]
        if len(self._first) < FIRST:
            return
        limit = TIMES * max(min(self._first), 1.0)
        if median(loss for _, loss in self._last) > limit:
            since = next(step for step, loss in self._last if loss > limit)
            raise UserError(
                f"training: the loss diverged: above {limit:.4g} since step {since}, from "
                f"{min(self._first):.4g} at first; {advice}"
            )

    def _read(self) -> Iterator[tuple[int, float]]:
        if self._unread:
            steps, losses = zip(*self._unread, strict=True)
            self._unread = []
            yield from zip(steps, torch.stack(losses).double().tolist(), strict=True)


def sound(network: nn.Module) -> bool:
    """Tell whether every weight is finite: a step may spoil them after a loss that was."""
    return all(bool(torch.isfinite(each).all()) for each in network.parameters())
