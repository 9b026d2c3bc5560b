"""Selection inside groups: exactly so many rows of each, hardest, easiest or at random.

The threshold of every group is found digit by digit from histograms, so memory grows with the
groups, never with the rows. The answer is the one a full sort would give (ties: the earlier row).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepress.workers.rows import CHUNK, RowFile

Order = Literal["hard", "easy", "random"]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint32]
Rank = Callable[[int, int], Keys]
"""Returns the rank of rows start..stop, uint32; lower comes first."""

_BINS = 1 << 21


@dataclass(frozen=True)
class Groups:
    """Which group each row belongs to (None: all in one), and which rows take part at all."""

    concept: RowFile | None
    rows: int
    taking_part: RowFile | None = None

    def chunks(self) -> Iterator[tuple[int, Ints, npt.NDArray[np.intp]]]:
        """Yield (first row, group of each row that takes part, their places in the chunk)."""
        for start in range(0, self.rows, CHUNK):
            stop = min(start + CHUNK, self.rows)
            group = np.zeros(stop - start, np.int64)
            if self.concept is not None:
                group = self.concept.read(start, stop).astype(np.int64)
            places = np.arange(stop - start)
            if self.taking_part is not None:
                places = np.flatnonzero(self.taking_part.read(start, stop))
            yield start, group[places], places


def by_distance(distance: RowFile, order: Order, seed: int) -> Rank:
    """Rank rows by distance to the centroid: farthest first (hard), nearest (easy) or at random."""
    if order == "random":
        return shuffled(seed)

    def rank(start: int, stop: int) -> Keys:
        # Distances are 0 or more, where the bits of a float32 sort as the number does.
        bits = distance.read(start, stop).view(np.uint32)
        return ~bits if order == "hard" else bits

    return rank


def shuffled(seed: int) -> Rank:
    """Rank rows by a hash of seed and row number: a fixed random order of any number of rows."""
    salt = np.random.default_rng([seed, 2]).integers(1 << 63, dtype=np.uint64)

    def rank(start: int, stop: int) -> Keys:
        mixed = np.arange(start, stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32)

    return rank


def choose(groups: Groups, rank: Rank, quotas: Ints, mark: Callable[[int, Ints], None]) -> None:
    """Call `mark(first row, places)` for the `quotas[g]` first rows of every group g, in row order.

    `places` are relative to the first row. A group must have as many rows as its quota.
    """
    limit, ties = _limits(groups, rank, quotas)
    for start, group, places in groups.chunks():
        keys = rank(start, start + int(places[-1]) + 1 if places.size else start)[places]
        below = keys.astype(np.int64) < limit[group]
        tied = np.flatnonzero(keys.astype(np.int64) == limit[group])
        within = _occurrence(group[tied]) < ties[group[tied]]
        ties -= np.bincount(group[tied[within]], minlength=len(ties))
        below[tied[within]] = True
        mark(start, places[below])


def _limits(groups: Groups, rank: Rank, quotas: Ints) -> tuple[Ints, Ints]:
    """Return per group the rank of the last row to take, and how many rows of that rank to take."""
    prefix = np.where(quotas > 0, 0, -1).astype(np.int64)
    left = quotas.astype(np.int64)
    bits = max(1, min(16, (_BINS // len(quotas)).bit_length() - 1))
    known = 0
    while known < 32:
        step = min(bits, 32 - known)
        counts = _histogram(groups, rank, prefix, (known, step))
        upto = np.cumsum(counts, axis=1)
        digit = (upto < left[:, None]).sum(axis=1)
        digit = np.minimum(digit, (1 << step) - 1)
        before = np.take_along_axis(upto - counts, digit[:, None], axis=1)[:, 0]
        open_ = prefix >= 0
        left = np.where(open_, left - before, 0)
        prefix = np.where(open_, (prefix << step) | digit, -1)
        known += step
    return prefix, left


def _histogram(groups: Groups, rank: Rank, prefix: Ints, place: tuple[int, int]) -> Ints:
    """Count, per group, the next `step` bits of the ranks that begin with the group's prefix."""
    known, step = place
    bins = 1 << step
    counts = np.zeros(len(prefix) * bins, np.int64)
    for start, group, places in groups.chunks():
        if not places.size:
            continue
        keys = rank(start, start + int(places[-1]) + 1)[places].astype(np.int64)
        alike = (keys >> (32 - known)) == prefix[group]
        digits = (keys[alike] >> (32 - known - step)) & (bins - 1)
        counts += np.bincount(group[alike] * bins + digits, minlength=len(counts))
    return counts.reshape(len(prefix), bins)


def _occurrence(group: Ints) -> Ints:
    """Return for each entry how many equal entries stand before it."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.searchsorted(ordered, ordered, side="left")
    out = np.empty(len(group), np.int64)
    out[order] = np.arange(len(group)) - first
    return out
