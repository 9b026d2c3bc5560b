"""First centroids: rows far apart from each other, by greedy k-means++ on parts of a sample.

https://theory.stanford.edu/~sergei/papers/kMeansPP-soda.pdf. Every 512 centroids come from rows of
their own, so the cost grows with the number of centroids and not with its square.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgepress.vectors.blocks import Floats, scaled
from edgepress.vectors.shards import Shards
from edgepress.workers.local import single_threaded

_GROUP = 512
_ROWS = 4
"""Rows looked at per centroid where the centroids are in several groups."""
_SAME = 1e-6
"""Cosine distance below which two rows count as one."""


def seeds(sample: Shards, count: int, seed: int) -> Floats:
    """Return `count` unit rows of the sample, float32 [count, D], spread over its directions.

    With fewer different rows than `count` some repeat; their concepts stay empty.
    """
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(sample.rows)
    groups = -(-count // _GROUP)
    share = min(sample.rows // groups, _GROUP * (_ROWS if groups > 1 else 2 * _ROWS))
    found = []
    with single_threaded():
        for group, part in enumerate(np.array_split(np.arange(count), groups)):
            numbers = np.sort(order[group * share : (group + 1) * share])
            rows = np.concatenate([scaled(run, str) for run in sample.take(numbers)])
            found.append(rows[_spread(rows, len(part), rng)])
    return np.concatenate(found)


def _spread(rows: Floats, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Choose row numbers one by one, each the best of a few drawn in proportion to distance."""
    tries = 2 + int(math.log(count))
    chosen = [int(rng.integers(len(rows)))]
    gap = _gaps(rows, chosen)[0]
    while len(chosen) < count and gap.any():
        upto = np.cumsum(gap, dtype=np.float64)
        drawn = np.searchsorted(upto, rng.random(tries) * upto[-1], side="right")
        drawn = np.minimum(drawn, len(rows) - 1)
        gaps = np.minimum(gap, _gaps(rows, drawn.tolist()))
        best = int(gaps.sum(axis=1, dtype=np.float64).argmin())
        chosen.append(int(drawn[best]))
        gap = gaps[best]
    return np.resize(np.array(chosen, np.int64), count)


def _gaps(rows: Floats, chosen: list[int]) -> Floats:
    """Return the cosine distances of all rows to the chosen ones, [chosen, rows], same rows 0."""
    gaps = 1.0 - rows[chosen] @ rows.T
    gaps[gaps < _SAME] = 0.0
    return gaps
