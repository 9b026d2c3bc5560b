"""Average precision of one class over images, in many bootstrap samples at once.

The sum over thresholds of the precision there times what the recall gains there; images of one
score pass a threshold together. That is scikit-learn's `average_precision_score`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """How often each of N images is in each of D samples.

    Sums over images, in many orders, are what takes the time. Samples lie side by side in integers
    of 64 bits, so that one addition is of four of them; no sum can reach its neighbour.
    """

    counts: Doubles
    """[D, N]."""
    packed: npt.NDArray[np.uint64]
    """[D / lanes, N]."""
    lane: type[np.unsignedinteger[Any]]

    @classmethod
    def of(cls, counts: Doubles) -> Self:
        """Pack counts [D, N]."""
        draws, images = counts.shape
        lane = np.uint16 if counts.sum(axis=1).max(initial=0) < 2**16 else np.uint32
        lanes = 8 // np.dtype(lane).itemsize
        rows = -(-draws // lanes)
        filled = np.zeros((rows * lanes, images), lane)
        filled[:draws] = counts
        side = np.ascontiguousarray(filled.reshape(rows, lanes, images).transpose(0, 2, 1))
        return cls(counts, side.view(np.uint64)[..., 0], lane)

    def up_to(self, images: Counts, ends: Counts) -> Doubles:
        """Return how many of the first `ends` of `images` each sample holds, [D, ends]."""
        ordered = self.packed.take(images, axis=1, mode="clip")  # which is quicker than to check
        sums = np.cumsum(ordered, axis=1)[:, ends - 1]
        lanes = np.ascontiguousarray(sums)[..., None].view(self.lane).transpose(0, 2, 1)
        return lanes.reshape(-1, len(ends))[: len(self.counts)].astype(np.float64)


@dataclass(frozen=True)
class Ranked:
    """The images of one class by falling score; a threshold is a score of one that has it."""

    order: Counts
    """Images down to the last threshold."""
    ends: Counts
    """How many of them reach each threshold."""
    positives: Counts
    """Images that have the class."""
    positive_ends: Counts
    """How many of them reach each threshold."""

    @classmethod
    def of(cls, scores: npt.NDArray[Any], present: npt.NDArray[np.bool_]) -> Self:
        """Rank scores [N] of images that have the class where `present` [N]."""
        order = np.argsort(-scores, kind="stable")
        falling, there = -scores[order], present[order]
        thresholds = np.unique(falling[there])
        ends = np.searchsorted(falling, thresholds, side="right")
        positive_ends = np.searchsorted(falling[there], thresholds, side="right")
        return cls(order[: ends.max(initial=0)], ends, order[there], positive_ends)

    def precision(self, draws: Draws) -> Doubles:
        """Return the average precision [D]; NaN in samples where no image has the class."""
        if not len(self.ends):
            return np.full(len(draws.counts), np.nan)
        hits = draws.up_to(self.positives, self.positive_ends)
        above = draws.up_to(self.order, self.ends)
        each = np.divide(hits, above, out=np.zeros_like(hits), where=above > 0)
        gained = np.diff(hits, axis=1, prepend=0.0)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.einsum("dt,dt->d", each, gained) / hits[:, -1])
