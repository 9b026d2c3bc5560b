"""Near-duplicates: perceptual hashes a few bits apart, found by bands instead of all pairs.

The 64 bits are parted into m bands. Two hashes at most k bits apart differ in at most k of them, so
they agree on some m - k bands; only hashes that do are compared (multi-index hashing,
https://arxiv.org/abs/1307.2982). More bands mean more searches, each of fewer pairs: m is chosen
by the number of hashes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Pairs = tuple[Ints, Ints]

_BITS = 64
_SORTED, _COMPARED = 100.0, 25.0
"""Nanoseconds that sorting takes a hash, and comparing a pair: only their ratio matters."""
_JOINED = 2**20
"""Pairs that are held until groups are joined by them."""
_NONE = np.iinfo(np.int64).max


def looks_like(hashes: Hashes, bits: int) -> Ints:
    """Return, for each hash of uint64 [N], the first earlier one at most `bits` away, or -1.

    An image that looks like a later one only is not marked: of a group, all but the first are.
    """
    distinct, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    nearest = first.astype(np.int64)
    for left, right in _near_pairs(distinct, bits):
        np.minimum.at(nearest, left, first[right])
        np.minimum.at(nearest, right, first[left])
    found = nearest[inverse]
    found[found == np.arange(len(hashes))] = -1
    return found


def looks_like_across(hashes: Hashes, parts: Ints, bits: int) -> Ints:
    """Return, for each hash, the first one of another part at most `bits` away, or -1.

    `parts` int64 [N] numbers the part of each from 0 on.
    """
    distinct, inverse = np.unique(hashes, return_inverse=True)
    count = int(parts.max(initial=0)) + 1
    first = np.full((count, len(distinct)), _NONE)
    np.minimum.at(first, (parts, inverse), np.arange(len(hashes)))
    near = first.copy()
    for left, right in _near_pairs(distinct, bits):
        for part in range(count):
            np.minimum.at(near[part], left, first[part, right])
            np.minimum.at(near[part], right, first[part, left])
    found = np.full(len(hashes), _NONE)
    for part in range(count):
        others = np.where(parts != part, near[part, inverse], _NONE)
        found = np.minimum(found, others)
    return np.where(found == _NONE, -1, found)


def families(hashes: Hashes, bits: int) -> Ints:
    """Number the groups of hashes that steps of at most `bits` lead through: int64 [N], from 0."""
    distinct, inverse = np.unique(hashes, return_inverse=True)
    labels = np.arange(len(distinct))
    held: list[Pairs] = []
    count = 0
    for pair in _near_pairs(distinct, bits):
        held.append(pair)
        count += len(pair[0])
        if count >= _JOINED:
            labels, held, count = joined(labels, held), [], 0
    found = joined(labels, held)[inverse]
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def joined(labels: Ints, pairs: list[Pairs]) -> Ints:
    """Return `labels` with those groups made one that pairs of members link.

    A label of int64 [N] is the place of a member; the lowest of a joined group stays.
    """
    if not pairs:
        return labels
    left = np.concatenate([one for one, _ in pairs])
    right = np.concatenate([other for _, other in pairs])
    labels = labels.copy()
    while True:
        one, other = labels[left], labels[right]
        apart = one != other
        if not apart.any():
            return labels
        left, right = left[apart], right[apart]
        np.minimum.at(labels, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while True:
            further = labels[labels]
            if np.array_equal(further, labels):
                break
            labels = further


def _near_pairs(distinct: Hashes, bits: int) -> Iterator[Pairs]:
    """Yield all pairs of places at most `bits` apart, some more than once; hashes differ."""
    if bits == 0:
        return
    for mask in _masks(len(distinct), bits):
        order = np.argsort(distinct & mask, kind="stable")
        keys, values = (distinct & mask)[order], distinct[order]
        start = np.arange(len(keys))
        for step in itertools.count(1):
            start = start[: np.searchsorted(start, len(keys) - step)]
            start = start[keys[start] == keys[start + step]]
            if not len(start):
                break
            near = start[np.bitwise_count(values[start] ^ values[start + step]) <= bits]
            if len(near):
                yield order[near], order[near + step]


def _masks(count: int, bits: int) -> list[np.uint64]:
    """Return masks of which two hashes at most `bits` apart agree on at least one."""

    def cost(bands: int) -> float:
        pairs = count / 2 / 2 ** (_BITS * (bands - bits) / bands)
        return math.comb(bands, bits) * (_SORTED + _COMPARED * pairs)

    best = min(range(bits + 1, bits + 9), key=cost)
    edges = [round(i * _BITS / best) for i in range(best + 1)]
    bands = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in itertools.combinations(bands, best - bits)]
