from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.curation._select import select
from edgepress.curation._select.select import Groups, by_distance, choose, shuffled
from edgepress.workers import rows as rows_module
from edgepress.workers.rows import RowFile


def _file(folder: Path, name: str, values: Any, dtype: Any) -> RowFile:
    column = RowFile(folder / name, np.dtype(dtype), len(values))
    column.write(0, np.asarray(values, dtype))
    return column


def _chosen(groups: Groups, rank: Any, quotas: Any) -> Any:
    kept = np.zeros(groups.rows, bool)

    def mark(start: int, places: Any) -> None:
        kept[start + places] = True

    choose(groups, rank, np.asarray(quotas, np.int64), mark)
    return kept


def _by_sorting(group: Any, key: Any, quotas: Any, part: Any) -> Any:
    kept = np.zeros(len(group), bool)
    for index, quota in enumerate(quotas):
        rows = np.flatnonzero((group == index) & part)
        kept[rows[np.argsort(key[rows], kind="stable")][:quota]] = True
    return kept


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["hard", "easy"]), st.integers(1, 5))
def test_choose_equals_a_full_sort(seed: int, order: Any, concepts: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 400))
    group = rng.integers(0, concepts, rows)
    distance = rng.choice([0.0, 0.1, 0.25, 1.0, rng.random()], rows).astype(np.float32)
    part = rng.random(rows) < 0.8
    sizes = np.bincount(group[part], minlength=concepts)
    quotas = np.array([rng.integers(0, size + 1) for size in sizes])
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "CHUNK", 64)
        patch.setattr(select, "CHUNK", 64)
        folder = Path(name)
        column = _file(folder, "distance", distance, np.float32)
        groups = Groups(
            _file(folder, "group", group, np.int32), rows, _file(folder, "part", part, np.uint8)
        )
        kept = _chosen(groups, by_distance(column, order, 0), quotas)
    key = -distance if order == "hard" else distance
    np.testing.assert_array_equal(kept, _by_sorting(group, key, quotas, part))


def test_shuffled_gives_every_row_the_same_chance_and_depends_on_the_seed() -> None:
    groups = Groups(None, 200_000)
    kept = [_chosen(groups, shuffled(seed), [50_000]) for seed in (0, 0, 1)]
    assert [mask.sum() for mask in kept] == [50_000] * 3
    np.testing.assert_array_equal(kept[0], kept[1])
    assert (kept[0] & kept[2]).mean() == pytest.approx(1 / 16, abs=0.005)
    per_part = kept[0].reshape(20, -1).mean(axis=1)
    assert abs(per_part - 0.25).max() < 0.02


def test_memory_bound_holds_when_there_are_many_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, concepts = 30_000, 9_000
    group = rng.integers(0, concepts, rows)
    distance = rng.random(rows).astype(np.float32)
    quotas = np.bincount(group, minlength=concepts) // 2
    groups = Groups(_file(tmp_path, "g", group, np.int32), rows)
    rank = by_distance(_file(tmp_path, "d", distance, np.float32), "easy", 0)
    expected = _by_sorting(group, distance, quotas, np.ones(rows, bool))
    np.testing.assert_array_equal(_chosen(groups, rank, quotas), expected)
