from __future__ import annotations

import random
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data import storage as module
from edgepress.data.picture import UnusableError
from edgepress.data.storage import Storage


@pytest.fixture(params=["plain", "struct"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """1,000 rows in row groups of 300; row 5 is null."""
    values = [f"row {number}".encode() for number in range(1000)]
    values[5] = None  # type: ignore[call-overload]
    plain = pa.array(values, pa.binary())
    struct = pa.StructArray.from_arrays([plain, pa.nulls(1000, pa.string())], ["bytes", "path"])
    column = plain if request.param == "plain" else struct
    pq.write_table(pa.table({"image": column}), tmp_path / "a.parquet", row_group_size=300)
    return Storage("parquet", tmp_path, "image")


def test_rows_are_read_in_any_order(rows: Storage) -> None:
    order = [0, 1, 299, 300, 999, 10, 9, 601, 600]
    order += random.Random(0).sample(range(6, 1000), 50)
    for row in order:
        assert rows.read("a.parquet", row, None, None) == f"row {row}".encode()


def test_row_without_bytes_is_unusable(rows: Storage) -> None:
    with pytest.raises(UnusableError, match="empty"):
        rows.read("a.parquet", 5, None, None)
    assert rows.read("a.parquet", 6, None, None) == b"row 6"


def test_row_beyond_the_file_is_unusable(rows: Storage) -> None:
    with pytest.raises(UnusableError, match="row 1000 of 1000"):
        rows.read("a.parquet", 1000, None, None)


def test_null_structs_are_unusable(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary())])
    table = pa.table({"image": pa.array([{"bytes": b"x"}, None], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    storage = Storage("parquet", tmp_path, "image")
    with pytest.raises(UnusableError, match="empty"):
        storage.read("a.parquet", 1, None, None)


@pytest.mark.parametrize("name", ["photo.bytes", "photo", "a.b.c", "bytes", "."])
@pytest.mark.parametrize("inner", [False, True])
def test_column_is_read_by_its_exact_name_when_names_hold_dots(
    name: str, inner: bool, tmp_path: Path
) -> None:
    plain = pa.array([b"wanted", b"too"], pa.large_binary())
    wanted = pa.StructArray.from_arrays([plain], ["bytes"]) if inner else plain
    others = {f"{name}.bytes": pa.array([b"another"] * 2), f"{name}.more": [1, 2]}
    pq.write_table(pa.table({**others, name: wanted}), tmp_path / "a.parquet")
    storage = Storage("parquet", tmp_path, name)
    assert [storage.read("a.parquet", row, None, None) for row in (0, 1)] == [b"wanted", b"too"]


def test_each_file_says_what_its_column_is(tmp_path: Path) -> None:
    plain = pa.array([b"plain"])
    struct = pa.StructArray.from_arrays([pa.array([b"struct"])], ["bytes"])
    numbers = pa.StructArray.from_arrays([pa.array([7])], ["bytes"])
    for name, column in (("a", plain), ("b", struct), ("c", numbers)):
        pq.write_table(pa.table({"image": column}), tmp_path / f"{name}.parquet")
    storage = Storage("parquet", tmp_path, "image")
    assert storage.read("a.parquet", 0, None, None) == b"plain"
    assert storage.read("b.parquet", 0, None, None) == b"struct"
    with pytest.raises(UnusableError, match="cannot be read: column 'image' is struct<bytes: int"):
        storage.read("c.parquet", 0, None, None)


def test_column_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    pq.write_table(pa.table({"photo": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(UnusableError, match="has no column 'image'; there are photo"):
        Storage("parquet", tmp_path, "image").read("a.parquet", 0, None, None)


def test_files_change_between_reads(tmp_path: Path) -> None:
    for name in ("a", "b"):
        table = pa.table({"image": [name.encode() * n for n in range(1, 9)]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    storage = Storage("parquet", tmp_path, "image")
    for row in range(8):
        for name in ("a", "b"):
            data = storage.read(f"{name}.parquet", row, None, None)
            assert data == name.encode() * (row + 1)
    storage.close()


def test_byte_ranges_of_a_tar_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"0123456789")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "x.jpg", "x.jpg")
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmember("x.jpg")
    storage = Storage("tar", tmp_path)
    assert storage.read("a.tar", None, member.offset_data, 10) == b"0123456789"
    with pytest.raises(UnusableError, match="cut off"):
        storage.read("a.tar", None, member.offset_data, 10**6)


@pytest.mark.parametrize("container", ["file", "parquet", "tar"])
def test_missing_file_is_unusable(container: module.Container, tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="cannot be read: .*gone"):
        Storage(container, tmp_path).read("gone", 0, 0, 1)


def test_file_that_is_no_parquet_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"x" * 100)
    with pytest.raises(UnusableError, match="cannot be read"):
        Storage("parquet", tmp_path, "image").read("a.parquet", 0, None, None)


@pytest.mark.parametrize("container", ["file", "tar"])
def test_huge_image_is_refused_unread(
    container: module.Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 9)
    (tmp_path / "a").write_bytes(b"0123456789")
    with pytest.raises(UnusableError, match="too large: 10 bytes"):
        Storage(container, tmp_path).read("a", None, 0, 10)
