from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.vectors.blocks import Space, load, nearest, scaled
from edgepress.vectors.shards import Shards


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_scaled_gives_unit_rows_for_ordinary_and_extreme_lengths(dtype: type) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 8))
    rows[:10] *= 1e-6 if dtype is np.float16 else 1e-30
    rows[10:20] *= 1e4 if dtype is np.float16 else 1e30
    raw: np.ndarray = rows.astype(dtype)
    exact = raw.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1)[:, None]
    np.testing.assert_allclose(scaled(raw, str), exact, atol=2e-7)


def test_every_half_widens_to_its_exact_value() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves) & (halves != 0)]
    pairs = np.stack([halves, np.ones_like(halves)], axis=1)
    exact = pairs.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1)[:, None]
    np.testing.assert_allclose(scaled(pairs, str), exact, rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    ("value", "clause"),
    [(np.nan, "row 3: holds nan"), (np.inf, "row 3: holds inf"), (-np.inf, "row 3: holds -inf")],
)
def test_load_refuses_and_names_the_row_when_it_is_not_finite(
    tmp_path: Path, dtype: type, value: float, clause: str
) -> None:
    rows: np.ndarray = np.ones((5, 4), dtype)
    np.save(tmp_path / "a.npy", rows)
    rows[3, 2] = value
    np.save(tmp_path / "b.npy", rows)
    with pytest.raises(UserError, match=rf"b.npy: {clause}"):
        load(Shards.open([tmp_path]), 0, 10)


def test_load_refuses_and_names_the_row_when_it_is_zero(tmp_path: Path) -> None:
    rows = np.ones((5, 4), np.float32)
    rows[1] = 0
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(UserError, match=r"a.npy: row 1: a zero vector"):
        load(Shards.open([tmp_path]), 0, 5)


def test_nearest_finds_the_best_centroid_across_tiles_and_the_lower_of_equals() -> None:
    rng = np.random.default_rng(0)
    rows = scaled(rng.standard_normal((30, 4)).astype(np.float32), str)
    centroids = scaled(rng.standard_normal((5000, 4)).astype(np.float32), str)
    space = Space.beside(centroids).cosines
    labels, cosines = nearest(rows, centroids, space)
    every = rows @ centroids.T
    np.testing.assert_allclose(cosines, every.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(every[np.arange(30), labels], every.max(axis=1), atol=1e-6)
    doubled, _ = nearest(rows, np.concatenate([centroids, centroids]), space)
    assert (doubled < 5000).all()
