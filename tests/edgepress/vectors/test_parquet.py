from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.errors import UserError
from edgepress.vectors import ids
from edgepress.vectors.shards import Shards


def _lists(path: Path, lists: list[Any], **options: Any) -> Path:
    table = pa.table({"embedding": pa.array(lists, pa.list_(pa.float32()))})
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize(("first", "fault"), [([], "empty"), (None, "missing")])
def test_open_says_what_is_wrong_when_the_first_vector_is_empty_or_missing(
    tmp_path: Path, first: list[float] | None, fault: str
) -> None:
    path = _lists(tmp_path / "a.parquet", [first, [1.0, 2.0]])
    with pytest.raises(UserError, match=rf"a.parquet: row 0: the vector is {fault}; drop or fill"):
        Shards.open([path])


@pytest.mark.parametrize(
    ("bad", "clause"),
    [
        ([], "the vector is empty"),
        (None, "the vector is missing"),
        ([1.0, None], "a component is missing"),
        ([1.0], "1 wide, the first row 2"),
    ],
)
def test_read_names_the_row_of_the_file_when_it_lies_in_a_later_run(
    tmp_path: Path, bad: Any, clause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepress.vectors.cursor.RUN", 6)
    lists: list[Any] = [[float(row), 1.0] for row in range(40)]
    lists[31] = bad
    path = _lists(tmp_path / "a.parquet", lists, row_group_size=20)
    shards = Shards.open([path])
    assert shards.read(0, 20)[:, 0].tolist() == list(range(20))
    with pytest.raises(UserError, match=rf"a.parquet: row 31: {clause}"):
        shards.read(30, 35)


def test_vectors_and_ids_are_read_by_exact_name_when_other_names_go_on_after_a_dot(
    tmp_path: Path,
) -> None:
    table = pa.table(
        {
            "embedding.model": ["a", "b"],
            "id.long": [1.5, 2.5],
            "embedding": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32())),
            "id": ["x", "y"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    shards = Shards.open([tmp_path / "a.parquet"])
    assert shards.read(0, 2).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert [names.to_pylist() for _, names in ids.stream(shards)] == [["x", "y"]]
