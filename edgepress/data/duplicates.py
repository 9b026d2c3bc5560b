"""Near-duplicates: perceptual hashes a few bits apart, found by bands instead of all pairs.

Two 64-bit hashes at most k bits apart agree on at least one of k + 1 bands of bits, so only hashes
that share a band are compared (multi-index hashing, https://arxiv.org/abs/1307.2982).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BITS = 64
_BLOCK = 1024


def looks_like(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Return, for each hash of uint64 [N], the first earlier one at most `bits` away, or -1.

    An image that looks like a later one only is not marked: of a group, all but the first are.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    nearest = first.astype(np.int64)
    if bits > 0:
        for band in _bands(bits + 1):
            for members in _shared(distinct & band):
                _compare(distinct, first, members, bits, nearest)
    found = nearest[inverse]
    found[found == np.arange(len(hashes))] = -1
    return found


def _bands(count: int) -> list[np.uint64]:
    """Return masks that part the 64 bits into `count` runs of nearly equal length."""
    edges = [round(i * _BITS / count) for i in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _shared(keys: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the indices of each group of two or more equal keys."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    for start, stop in zip([0, *edges], [*edges, len(keys)], strict=True):
        if stop - start > 1:
            yield order[start:stop]


def _compare(
    distinct: npt.NDArray[np.uint64],
    first: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    bits: int,
    nearest: npt.NDArray[np.int64],
) -> None:
    """Lower `nearest` of each member to the first image of any other member within `bits`."""
    values, places = distinct[members], first[members]
    for start in range(0, len(members), _BLOCK):
        block = members[start : start + _BLOCK]
        distance = np.bitwise_count(distinct[block, None] ^ values[None, :])
        near = np.where(distance <= bits, places[None, :], np.iinfo(np.int64).max)
        nearest[block] = np.minimum(nearest[block], near.min(axis=1))
