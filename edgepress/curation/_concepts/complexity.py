"""Concept complexity: how spread out a concept is, times how far it lies from its neighbours.

https://arxiv.org/abs/2401.04578
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.curation._concepts.kmeans import Assigned
from edgepress.vectors.blocks import BLOCK, Floats
from edgepress.workers.local import single_threaded
from edgepress.workers.rows import RowFile

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def spread(assigned: Assigned, concepts: int, alive: RowFile | None = None) -> tuple[Ints, Reals]:
    """Return sizes [k] and d_intra [k], the mean cosine distance to the centroid (0 where empty).

    Rows that are not `alive` do not count.
    """
    sizes = np.zeros(concepts, np.int64)
    totals = np.zeros(concepts, np.float64)
    for start, concept in assigned.concept.chunks():
        distance = assigned.distance.read(start, start + len(concept)).astype(np.float64)
        if alive is not None:
            mask = alive.read(start, start + len(concept)) != 0
            concept, distance = concept[mask], distance[mask]
        sizes += np.bincount(concept, minlength=concepts)
        totals += np.bincount(concept, distance, concepts)
    return sizes, totals / np.maximum(sizes, 1)


def separation(centroids: Floats, sizes: Ints, neighbours: int) -> Reals:
    """Return d_inter [k]: the mean cosine distance to the nearest centroids of concepts with rows.

    With fewer than `neighbours` others, all of them count; alone, or empty, the value is 0.
    """
    inhabited = np.flatnonzero(sizes)
    d_inter = np.zeros(len(centroids), np.float64)
    count = min(neighbours, len(inhabited) - 1)
    if count < 1:
        return d_inter
    exact = centroids[inhabited].astype(np.float64)
    for start in range(0, len(exact), BLOCK):
        with single_threaded():
            cosines = exact[start : start + BLOCK] @ exact.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        nearest = -np.partition(-cosines, count - 1, axis=1)[:, :count]
        d_inter[inhabited[start + own]] = 1.0 - np.sort(nearest, axis=1).mean(axis=1)
    return np.maximum(d_inter, 0.0)


def shares(complexity: Reals, sizes: Ints, temperature: float) -> Reals:
    """Return softmax(complexity / temperature) [k] over concepts that have rows, 0 elsewhere."""
    inhabited = sizes > 0
    scaled = complexity[inhabited] / temperature
    weights = np.exp(scaled - scaled.max())
    out = np.zeros(len(sizes), np.float64)
    out[inhabited] = weights / weights.sum()
    return out
