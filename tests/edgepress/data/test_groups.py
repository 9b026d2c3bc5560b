from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data.groups import Grouping, named
from edgepress.data.listing import Entry, Listing
from edgepress.errors import UserError
from edgepress.records.manifest import Container


def listing(entries: list[Entry], container: Container = "file", inside: bool = False) -> Listing:
    return Listing(
        "made", "here", container, inside, ("a", "b"), frozenset(), lambda: iter(entries)
    )


def names(ids: list[str], **grouping: Any) -> list[str | None]:
    listed = listing([Entry(name, "p", 0) for name in ids])
    return [name for _, name in named(listed, Path(), Grouping(**grouping))]


def test_images_stand_alone_when_nothing_is_grouped() -> None:
    listed = listing([Entry("a/1.png", "p", 0)])
    assert [name for _, name in named(listed, Path(), None)] == [None]


def test_folder_is_the_one_that_the_image_lies_in() -> None:
    ids = ["cat/p1/1.png", "cat/p1/2.png", "cat/p2/1.png", "dog/1.png", "1.png"]
    assert names(ids, by="folder") == ["cat/p1", "cat/p1", "cat/p2", "dog", "."]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"m\d+", ["m1", "m22", None, None]),
        (r"m(\d+)_", ["1", "22", None, None]),
        (r"^(?:cat|dog)/(?:x(\d))?", [None, None, "9", None]),
        (r"m?(\d*)x?", [None, None, None, None]),
    ],
    ids=["match", "group", "group that may be missing", "empty"],
)
def test_pattern_names_by_its_first_group_else_by_its_match(
    pattern: str, expected: list[str | None]
) -> None:
    ids = ["cat/m1_1.png", "dog/m22_1.png", "cat/x9.png", "cat/other.png"]
    assert names(ids, by="id", pattern=pattern) == expected


def rows(path: str, *numbers: int) -> list[Entry]:
    return [Entry(f"{path}:{number}", path, 0, row=number) for number in numbers]


@pytest.mark.parametrize(
    "values", [["a", "b", None, "a"], pa.array(["a", "b", None, "a"]).dictionary_encode()]
)
def test_column_is_read_for_the_rows_that_are_listed(values: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"the.patient": values, "n": range(4)}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"the.patient": ["c", "d"], "n": [7, 8]}), tmp_path / "2.parquet")
    entries = [*rows("1.parquet", 0, 2, 3), *rows("2.parquet", 1), *rows("1.parquet", 1, 1, 0)]
    listed = listing(entries, "parquet", inside=True)

    def by(column: str) -> list[str | None]:
        return [name for _, name in named(listed, tmp_path, Grouping(by="column", column=column))]

    assert by("the.patient") == ["a", None, "a", "d", "b", "b", "a"]
    assert by("n") == ["0", "2", "3", "8", "1", "1", "0"]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("patients", "1.parquet: has no column 'patients'; there are patient, size"),
        ("size", "1.parquet: column 'size' is double; expected strings or integers"),
    ],
)
def test_column_that_names_nothing_is_refused(column: str, said: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"patient": ["a"], "size": [1.5]}), tmp_path / "1.parquet")
    listed = listing(rows(str(tmp_path / "1.parquet"), 0), "parquet")
    with pytest.raises(UserError, match="ingest.split.group.column: ") as refused:
        list(named(listed, Path(), Grouping(by="column", column=column)))
    assert said in str(refused.value)


def test_column_of_images_that_lie_in_files_is_refused() -> None:
    with pytest.raises(UserError, match="by: column needs images in Parquet files, made has none"):
        names(["a"], by="column", column="patient")
