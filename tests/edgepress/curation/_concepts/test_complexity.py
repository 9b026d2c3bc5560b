from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepress.curation._concepts import kmeans
from edgepress.curation._concepts.complexity import separation, shares, spread
from edgepress.vectors.blocks import load


def test_spread_equals_plain_means_over_living_rows(
    job: Callable[..., Any], vectors: Callable[..., Any]
) -> None:
    work = job(vectors(3_000))
    assigned = kmeans.assign(work, load(work.shards, 0, 4), "a")
    label, distance = assigned.concept.read(0, 3_000), assigned.distance.read(0, 3_000)
    alive = work.work.rows("alive", np.uint8, 3_000)
    living = np.arange(3_000) % 3 != 0
    alive.write(0, living.astype(np.uint8))
    for column, mask in [(None, np.ones(3_000, bool)), (alive, living)]:
        sizes, d_intra = spread(assigned, 4, column)
        for concept in range(4):
            rows = (label == concept) & mask
            assert sizes[concept] == rows.sum()
            assert d_intra[concept] == pytest.approx(distance[rows].mean(), abs=1e-6)


def test_separation_is_the_mean_distance_to_the_nearest_inhabited_centroids() -> None:
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((30, 8))
    centroids /= np.linalg.norm(centroids, axis=1)[:, None]
    sizes = np.ones(30, np.int64)
    sizes[[3, 17]] = 0
    found = separation(centroids.astype(np.float32), sizes, 4)
    for index in range(30):
        others = [j for j in range(30) if j != index and sizes[j]]
        nearest = np.sort(1 - centroids[others] @ centroids[index])[:4]
        assert found[index] == pytest.approx(nearest.mean() if sizes[index] else 0.0, abs=1e-6)


def test_separation_uses_all_others_when_there_are_fewer_than_asked() -> None:
    axes = np.eye(3, dtype=np.float32)
    assert separation(axes, np.ones(3, np.int64), 20) == pytest.approx([1, 1, 1])
    assert separation(axes[:1], np.ones(1, np.int64), 20).tolist() == [0.0]


def test_shares_are_a_softmax_that_leaves_empty_concepts_out() -> None:
    complexity = np.array([0.1, 0.5, 0.9, 0.2])
    sizes = np.array([5, 0, 7, 1])
    found = shares(complexity, sizes, 0.1)
    weights = np.exp(complexity / 0.1) * (sizes > 0)
    np.testing.assert_allclose(found, weights / weights.sum())
    assert np.isfinite(shares(complexity * 1e6, sizes, 1e-3)).all()
