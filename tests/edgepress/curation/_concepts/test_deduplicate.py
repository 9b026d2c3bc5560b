from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepress.curation._concepts import deduplicate, kmeans
from edgepress.curation._concepts.complexity import spread
from edgepress.curation._select.curate_job import CurateJob
from edgepress.vectors.blocks import load

Make = Callable[..., CurateJob]
Vectors = Callable[..., Any]


def _whole(column: Any) -> Any:
    return np.concatenate([part for _, part in column.chunks()])


def _plain(x: Any, label: Any, distance: Any, preferred: str) -> Any:
    """The definition: a row's highest cosine to any row of its concept that is preferred to it."""
    unit = x.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    echo = np.zeros(len(x))
    for concept in np.unique(label):
        rows = np.flatnonzero(label == concept)
        key = -distance[rows] if preferred == "farthest" else distance[rows]
        line = rows[np.lexsort((rows, key))]
        cosines = np.tril(unit[line] @ unit[line].T, k=-1)
        echo[line] = np.maximum(cosines.max(axis=1), 0)
    return echo


def _found(work: CurateJob, preferred: Any, concepts: int = 5) -> tuple[Any, Any, Any]:
    assigned = kmeans.assign(work, load(work.shards, 0, concepts), "first")
    sizes, _ = spread(assigned, concepts)
    echo = deduplicate.echoes(work, assigned, sizes, preferred)
    return _whole(assigned.concept), _whole(assigned.distance), echo


@pytest.mark.parametrize("preferred", ["nearest", "farthest"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_echoes_equal_the_definition(
    job: Make, vectors: Vectors, preferred: str, dtype: type
) -> None:
    x = vectors(9_000).astype(dtype)
    label, distance, echo = _found(job(x), preferred)
    expected = _plain(x, label, distance, preferred)
    np.testing.assert_allclose(_whole(echo), expected, atol=2e-6)


def test_identical_rows_are_at_most_the_same_when_rounding_goes_up(
    job: Make, vectors: Vectors
) -> None:
    x = np.repeat(vectors(500), 4, axis=0)
    _, _, echo = _found(job(x), "nearest")
    assert _whole(echo).max() <= 1.0


@pytest.mark.parametrize(("preferred", "kept"), [("nearest", 1), ("farthest", 2)])
def test_of_two_alike_the_preferred_one_stays(job: Make, preferred: Any, kept: int) -> None:
    x = np.array([[1, 0, 0], [1, 0.30, 0], [1, 0.31, 0], [1, -0.9, 0.4]], np.float32)
    work = job(x)
    _, _, echo = _found(work, preferred, concepts=1)
    alive = _whole(deduplicate.survivors(work, echo, 0.9999, 3))
    dropped = {1: 2, 2: 1}[kept]
    assert alive.tolist() == [int(row != dropped) for row in range(4)]


def test_survivors_never_fall_below_the_budget_and_the_closest_copies_go(
    job: Make, vectors: Vectors, caplog: pytest.LogCaptureFixture
) -> None:
    work = job(vectors(2_000))
    _, _, echo = _found(work, "farthest")
    cosine = _whole(echo)
    most = int((cosine > 0.9).sum()) - 100
    alive = _whole(deduplicate.survivors(work, echo, 0.9, most))
    assert (alive == 0).sum() == most
    assert f"only {most} may go" in caplog.text
    assert cosine[alive == 0].min() >= cosine[alive == 1].max() or most == 0


def test_exact_copies_are_found_when_a_concept_is_split(
    job: Make, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = vectors(3_000)
    monkeypatch.setattr(deduplicate, "WINDOW", 400)
    work = job(x)
    _, _, echo = _found(work, "nearest", concepts=2)
    copies = _whole(echo) > 0.999999
    # 40 pairs: in each, one of the two is the copy of the other.
    assert (copies[:40] | copies[-40:]).sum() == 40
    assert not list(work.work.folder.glob("part-*"))


def test_split_concepts_are_not_split_again_when_a_run_goes_on(
    job: Make, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = vectors(3_000)
    monkeypatch.setattr(deduplicate, "WINDOW", 400)
    expected = _whole(_found(job(x, name="whole"), "nearest", concepts=3)[2])
    split, done = deduplicate._split, list[int]()

    def breaks_at_the_second(work: CurateJob, grouped: Any, concept: int, *rest: Any) -> None:
        if len(done) == 1:
            done.append(-1)
            raise KeyboardInterrupt
        done.append(concept)
        split(work, grouped, concept, *rest)

    monkeypatch.setattr(deduplicate, "_split", breaks_at_the_second)
    work = job(x)
    with pytest.raises(KeyboardInterrupt):
        _found(work, "nearest", concepts=3)
    _, _, echo = _found(work, "nearest", concepts=3)
    assert done == [0, -1, 1, 2]
    np.testing.assert_array_equal(_whole(echo), expected)


def test_scratch_of_the_vectors_is_gone_afterwards(job: Make, vectors: Vectors) -> None:
    work = job(vectors(1_000))
    _found(work, "nearest")
    assert not list(work.work.folder.glob("grouped*"))
