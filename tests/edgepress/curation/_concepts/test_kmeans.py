from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepress.curation._concepts import kmeans
from edgepress.curation._select.curate_job import CurateJob
from edgepress.vectors.blocks import load

Make = Callable[..., CurateJob]
Vectors = Callable[..., Any]


def _unit(vectors: Any) -> Any:
    exact = vectors.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1)[:, None]


def _assigned(job: CurateJob, centroids: Any, name: str = "final") -> tuple[Any, Any]:
    rows = kmeans.assign(job, centroids, name)
    label = np.concatenate([part for _, part in rows.concept.chunks()])
    return label, np.concatenate([part for _, part in rows.distance.chunks()])


def test_lloyd_step_equals_plain_arithmetic(job: Make, vectors: Vectors) -> None:
    x = vectors(20_000)
    work = job(x)
    start = load(work.shards, 0, 12)
    moved = kmeans.refine(work, start, "lloyd", 1)
    unit = _unit(x)
    label = (unit @ start.T.astype(np.float64)).argmax(axis=1)
    sums = np.stack([unit[label == j].sum(axis=0) for j in range(12)])
    np.testing.assert_allclose(moved, _unit(sums), atol=2e-6)


def test_assign_gives_cosine_distance_to_the_nearest_centroid(job: Make, vectors: Vectors) -> None:
    x = vectors(9_000)
    work = job(x)
    centroids = load(work.shards, 100, 107)
    label, distance = _assigned(work, centroids)
    exact = 1.0 - _unit(x) @ centroids.T.astype(np.float64)
    np.testing.assert_array_equal(label, exact.argmin(axis=1))
    np.testing.assert_allclose(distance, exact.min(axis=1), atol=1e-6)


def test_cluster_is_as_good_as_the_best_of_a_reference(job: Make, vectors: Vectors) -> None:
    from sklearn.cluster import KMeans

    x = vectors(6_000)
    work = job(x)
    _, distance = _assigned(work, kmeans.cluster(work, 12, 3))
    unit = _unit(x)
    reference = KMeans(12, n_init=5, random_state=0).fit(unit)
    centres = _unit(reference.cluster_centers_)
    assert distance.mean() <= 1.01 * (1.0 - (unit @ centres.T).max(axis=1)).mean()


def test_cluster_leaves_no_concept_empty_when_rows_differ(job: Make, vectors: Vectors) -> None:
    work = job(vectors(3_000))
    label, _ = _assigned(work, kmeans.cluster(work, 200, 2))
    assert np.bincount(label, minlength=200).min() >= 1


def test_cluster_survives_when_there_are_fewer_different_rows_than_concepts(job: Make) -> None:
    x = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)
    work = job(x)
    label, distance = _assigned(work, kmeans.cluster(work, 10, 2))
    assert len(np.unique(label)) >= 4
    assert distance.max() < 1e-5


def test_empty_centroid_takes_half_of_the_largest(job: Make, vectors: Vectors) -> None:
    x = vectors(4_000)
    work = job(x)
    first = load(work.shards, 0, 1)
    start = np.concatenate([first, first, -first]).astype(np.float32)
    moved = kmeans.refine(work, start, "lloyd", 4)
    label, _ = _assigned(work, moved)
    assert np.bincount(label, minlength=3).min() > 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_centroids_are_unit_vectors(job: Make, vectors: Vectors, dtype: type) -> None:
    centroids = kmeans.cluster(job(vectors(2_000).astype(dtype)), 7, 1)
    assert centroids.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1.0, atol=1e-6)
