"""Rows of Parquet in any order: few groups held, each read once where rows come in windows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data import row_groups
from edgepress.data.picture import UnusableError
from edgepress.data.row_groups import RowGroups
from edgepress.training import windows
from edgepress.training.windows import windowed

PLACES = [(f"{file}.parquet", row) for file in "ab" for row in range(200)]


@pytest.fixture(params=["plain", "struct"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> RowGroups:
    """Two files of 200 rows in row groups of 30, of about 30 kB each; row 7 of b is null."""
    for file in "ab":
        values: list[bytes | None] = [value(f"{file}.parquet", row) for row in range(200)]
        if file == "b":
            values[7] = None
        column: Any = pa.array(values, pa.binary())
        if request.param == "struct":
            column = pa.StructArray.from_arrays([column, pa.nulls(200)], ["bytes", "path"])
        table = pa.table({"image": column, "label": np.arange(200)})
        pq.write_table(table, tmp_path / f"{file}.parquet", row_group_size=30)
    return RowGroups(tmp_path, "image")


def value(path: str, row: int) -> bytes:
    return f"{path} {row} ".encode() * 80 + bytes(np.random.default_rng(row).bytes(200))


def test_rows_are_read_in_any_order_by_any_number_of_threads(rows: RowGroups) -> None:
    order = np.random.default_rng(0).permutation(len(PLACES))
    wanted = [PLACES[index] for index in order if PLACES[index] != ("b.parquet", 7)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: rows.read(*place), wanted))
    assert found == [value(*place) for place in wanted]


def test_groups_and_their_bytes_are_those_of_the_files(rows: RowGroups) -> None:
    stored = rows.stored(PLACES)
    assert np.bincount(stored.group).tolist() == [30] * 6 + [20] + [30] * 6 + [20]
    assert (stored.sizes > 20 * 1000).all()
    mixed = rows.stored([PLACES[250], PLACES[3], PLACES[399], PLACES[29], PLACES[30]])
    assert mixed.group.tolist() == [1, 7, 6, 7, 8]


def test_every_group_is_read_once_when_rows_come_in_windows(
    rows: RowGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = rows.stored(PLACES)
    for module in (row_groups, windows):
        monkeypatch.setattr(module, "HELD", int(stored.sizes.max()) * 4)
    read: list[tuple[str, int]] = []
    load = RowGroups._load

    def counted(self: RowGroups, path: str, group: int) -> Any:
        read.append((path, group))
        return load(self, path, group)

    monkeypatch.setattr(RowGroups, "_load", counted)
    drawn = np.random.default_rng(0).permutation(len(PLACES))
    for index in windowed(drawn, stored, [0, 0]):
        if PLACES[index] != ("b.parquet", 7):
            rows.read(*PLACES[index])
            assert rows._bytes <= row_groups.HELD
    assert sorted(read) == sorted(set(read))
    assert len(read) == len(stored.sizes)
    read.clear()
    for index in drawn[drawn != 207]:  # without windows it is a group for every other row
        rows.read(*PLACES[index])
    assert len(read) > 5 * len(stored.sizes)


def test_what_cannot_be_read_is_told(rows: RowGroups, tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="empty: the row holds no bytes"):
        rows.read("b.parquet", 7)
    with pytest.raises(UnusableError, match="row 200 of 200 rows"):
        rows.read("a.parquet", 200)
    with pytest.raises(UnusableError, match=r"cannot be read: .* \(none.parquet\)"):
        rows.read("none.parquet", 0)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UnusableError, match=r"cannot be read: .* \(bad.parquet\)"):
        rows.stored([("bad.parquet", 0)])
    with pytest.raises(UnusableError, match="has no column 'picture'"):
        RowGroups(tmp_path, "picture").read("a.parquet", 0)
