from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from edgepress.errors import UserError
from edgepress.records.selection import REASONS, Concept, Selection, kept_rows, schema


def _concept(index: int, size: int, kept: int) -> Concept:
    return Concept(
        index=index, size=size, duplicates=0, quota=kept, kept=kept,
        d_intra=0.1, d_inter=0.5, complexity=0.05, probability=0.5,
    )  # fmt: skip


def _facts(**changes: Any) -> dict[str, Any]:
    facts = {
        "method": "concept_complexity", "params": {"keep": 0.5}, "seed": 0, "rows": 6, "budget": 3,
        "temperature": 0.5, "order": "hard", "concepts": (_concept(0, 4, 2), _concept(1, 2, 1)),
    }  # fmt: skip
    return {**facts, **changes}


def _batch(kept: list[bool], start: int = 0) -> pa.RecordBatch:
    rows = len(kept)
    codes = [0 if flag else 3 for flag in kept]
    concept = [0 if start + row < 4 else 1 for row in range(rows)]
    columns = [
        pa.array([f"i{start + row}" for row in range(rows)]),
        pa.array(concept, pa.int32()),
        pa.array([0.25] * rows, pa.float32()),
        pa.array(kept),
        pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(REASONS)),
    ]
    return pa.record_batch(columns, schema=schema(pa.string()))


def _batches() -> list[pa.RecordBatch]:
    return [_batch([True, False, True, False]), _batch([False, True], start=4)]


def test_table_returns_what_save_streamed(tmp_path: Path) -> None:
    record = Selection.save(tmp_path, iter(_batches()), _facts())
    assert Selection.read(tmp_path) == record
    table = record.table(tmp_path)
    assert table.ids == [f"i{row}" for row in range(6)]
    assert table.concept.tolist() == [0, 0, 0, 0, 1, 1]
    assert table.kept.tolist() == [True, False, True, False, False, True]
    assert table.distance.dtype == np.float32
    assert set(table.reason) == {"chosen", "over-quota"}
    assert record.kept_ids(tmp_path) == ["i0", "i2", "i5"]


def test_batches_return_the_table_in_order_with_the_columns_asked_for(tmp_path: Path) -> None:
    record = Selection.save(tmp_path, _batches(), _facts())
    assert [name for batch in record.batches(tmp_path) for name in batch["id"].to_pylist()] == [
        f"i{row}" for row in range(6)
    ]
    assert next(record.batches(tmp_path, ["kept"])).schema.names == ["kept"]
    assert record.kept(tmp_path).tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"budget": 4}, "3 rows kept, the budget is 4"),
        ({"rows": 7}, "6 rows written, 7 expected"),
        ({"concepts": (_concept(0, 4, 1), _concept(1, 2, 2))}, "concept 0: 2 rows kept"),
        ({"concepts": (_concept(0, 6, 3),)}, "concept is not one of 1"),
    ],
)
def test_save_refuses_and_writes_nothing_when_counts_are_off(
    tmp_path: Path, changes: dict[str, Any], clause: str
) -> None:
    with pytest.raises(UserError, match=clause):
        Selection.save(tmp_path, _batches(), _facts(**changes))
    assert list(tmp_path.iterdir()) == []


def test_earlier_selection_stays_when_a_later_one_is_refused(tmp_path: Path) -> None:
    record = Selection.save(tmp_path, _batches(), _facts())
    with pytest.raises(UserError):
        Selection.save(tmp_path, _batches()[:1], _facts())
    assert record.table(tmp_path).kept.sum() == 3


def test_save_refuses_when_there_are_no_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        Selection.save(tmp_path, [], _facts())


def test_table_refuses_when_the_file_was_changed(tmp_path: Path) -> None:
    record = Selection.save(tmp_path, _batches(), _facts())
    with (tmp_path / "selection.parquet").open("ab") as file:
        file.write(b"x")
    for read in (record.table, record.kept, record.kept_ids):
        with pytest.raises(UserError, match="selection.parquet: is not the file"):
            read(tmp_path)


def test_kept_rows_are_those_of_a_batch_that_was_cut() -> None:
    batch = _batch([True, False, False, True, True, False, True, True, False, True, False])
    assert kept_rows(batch.slice(3, 7)).tolist() == [True, True, False, True, True, False, True]
