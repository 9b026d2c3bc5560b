"""Columns of a manifest, read when asked for: what they hold, and from which table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from edgepress.data.columns import BEGINNING, Columns
from edgepress.data.table import read_table, writing
from edgepress.errors import UserError
from edgepress.records.manifest import TABLE

ROWS = 20_000
NAMES = ["id", "path", "sha256", "crop", "label", "row"]


def row(number: int) -> dict[str, object]:
    return {
        "id": f"a/{number}.jpg",
        "path": f"/somewhere/far/away/pictures/a/{number}.jpg" if number != 7 else None,
        "sha256": f"{number:064x}"[::-1] if number != 9 else None,
        "label": number % 3,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest's table of several row groups."""
    with writing(tmp_path, pa.int32()) as writer:
        for number in range(ROWS):
            writer.add(row(number))
    return tmp_path


def test_values_are_those_of_the_table_in_little_memory(folder: Path) -> None:
    columns, table = Columns(folder, NAMES), read_table(folder)
    assert len(columns) == ROWS
    for name in NAMES:
        assert columns[name].to_pylist() == table[name].to_pylist(), name
    begins, rest = columns.paths()
    assert begins == "/somewhere/far/away/pictures/a/"
    found = [each if each is None else begins + each for each in rest.to_pylist()]
    assert found == table["path"].to_pylist()
    digests = columns.beginnings().to_pylist()
    assert digests[9] is None
    assert digests[5] == bytes.fromhex(table["sha256"][5].as_py())[:BEGINNING]
    held = [rest, columns.beginnings(), *(columns[name] for name in ("crop", "row", "label"))]
    assert sum(each.nbytes for each in held) < 40 * ROWS


def test_a_column_is_read_once_while_it_is_in_use(folder: Path) -> None:
    columns = Columns(folder, NAMES)
    held = columns["id"]
    assert columns["id"] is held
    before = pa.total_allocated_bytes()
    del held
    assert pa.total_allocated_bytes() < before


def test_columns_stay_those_of_the_table_when_another_takes_its_place(
    folder: Path, tmp_path: Path
) -> None:
    columns, there = Columns(folder, NAMES), read_table(folder)["id"].to_pylist()
    other = tmp_path / "other"
    other.mkdir()
    with writing(other, pa.int32()) as writer:
        writer.add(row(3))
    shutil.move(other / TABLE, folder / TABLE)
    assert columns["id"].to_pylist() == there
    assert np.array_equal(Columns(folder, NAMES)["id"].to_pylist(), ["a/3.jpg"])


def test_a_table_that_cannot_be_read_is_refused_in_one_line(folder: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.parquet: lacks the column colour; run the"):
        Columns(folder, ["colour"])
    data = bytearray((folder / TABLE).read_bytes())
    data[100:4000] = bytes(3900)
    (folder / TABLE).write_bytes(bytes(data))
    with pytest.raises(UserError, match="cannot be read: .*; run the ingest stage anew") as refused:
        Columns(folder, NAMES)["id"]
    assert "\n" not in str(refused.value)
    (folder / TABLE).unlink()
    with pytest.raises(UserError, match="file not found; run the ingest stage"):
        Columns(folder, NAMES)
