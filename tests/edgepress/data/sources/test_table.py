"""The source `table`: every way to write labels, and one clear line for what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from edgepress.data.listing import Entry, Listing
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.state.inputs import stamp

PLAIN = {
    "method": "table",
    "path": "pictures",
    "table": "labels.csv",
    "image": "image",
    "suffix": "",
    "label": "tags",
    "several": True,
    "separator": ";",
    "empty_is_none": False,
    "split": None,
    "classes": None,
}


@pytest.fixture(autouse=True)
def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("1.png", "2.png", "deep/3.png"):
        path = Path("pictures") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def listed(text: str | bytes, name: str = "labels.csv", **changes: Any) -> Listing:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    entry = {**PLAIN, "table": name, **changes}
    found: Listing = resolve("data.sources", entry, "params.yaml", "ingest.source")(Path("unused"))
    return found


def found(listing: Listing) -> list[Entry]:
    entries = list(listing.entries())
    assert entries == list(listing.entries())
    return entries


def labels(listing: Listing) -> dict[str, Any]:
    assert all(entry.problem is None for entry in listing.entries())
    return {entry.id: entry.label for entry in found(listing)}


def problems(listing: Listing) -> list[str | None]:
    return [entry.problem for entry in found(listing)]


SEPARATED = "image,tags\n1.png,dog; cat\n2.png,emu\ndeep/3.png,cat;\n"
COLUMNS = "image,cat,dog,emu\n1.png,1,1,0\n2.png,0,0.0,1.0\ndeep/3.png,True,false,0\n"
LISTS = 'image,tags\n1.png,"[""dog"", ""cat""]"\n2.png,"[""emu""]"\ndeep/3.png,"[""cat""]"\n'
OBJECTS = "".join(
    json.dumps({"image": name, "tags": tags}) + "\n"
    for name, tags in (("1.png", ["dog", "cat"]), ("2.png", ["emu"]), ("deep/3.png", ["cat"]))
)


@pytest.mark.parametrize(
    ("text", "name", "changes"),
    [
        (SEPARATED, "labels.csv", {}),
        (SEPARATED.replace(",", "\t"), "labels.tsv", {}),
        (SEPARATED.replace("\n", "\r\n"), "labels.csv", {}),
        (b"\xef\xbb\xbf" + SEPARATED.encode(), "labels.csv", {}),
        (SEPARATED.replace(".png", ""), "labels.csv", {"suffix": ".png"}),
        (COLUMNS, "labels.csv", {"label": None, "separator": None}),
        (LISTS, "labels.csv", {"separator": None}),
        (OBJECTS, "labels.jsonl", {"separator": None}),
    ],
)
def test_labels_are_the_same_when_written_otherwise(
    text: str | bytes, name: str, changes: dict[str, Any]
) -> None:
    listing = listed(text, name, **changes)
    assert listing.classes == ("cat", "dog", "emu")
    assert listing.labels == pa.list_(pa.int32())
    assert labels(listing) == {"1.png": [0, 1], "2.png": [2], "deep/3.png": [0]}
    assert found(listing)[2].path == "pictures/deep/3.png"
    assert listing.splits == frozenset()


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("image,tags\n1.png,cat\n2.png,dog\n", {"separator": None}),
        ("image,cat,dog\n1.png,1,0\n2.png,0,1\n", {"separator": None, "label": None}),
    ],
)
def test_label_is_one_class_when_there_are_not_several(text: str, changes: dict[str, Any]) -> None:
    listing = listed(text, several=False, **changes)
    assert listing.labels == pa.int32()
    assert labels(listing) == {"1.png": 0, "2.png": 1}


def test_classes_keep_the_order_given_and_other_columns_are_passed_over() -> None:
    changes: dict[str, Any] = {"label": None, "separator": None, "classes": ["emu", "cat"]}
    listing = listed(COLUMNS, **changes)
    assert listing.classes == ("emu", "cat")
    assert labels(listing) == {"1.png": [1], "2.png": [0], "deep/3.png": [1]}


def test_classes_are_in_order_of_number_when_all_are_numbers() -> None:
    assert listed("image,tags\n1.png,10;9\n2.png,2\n").classes == ("2", "9", "10")


def test_header_gives_the_order_when_each_class_has_a_column() -> None:
    listing = listed("image,emu,cat\n1.png,1,0\n", label=None, separator=None)
    assert listing.classes == ("emu", "cat")


def test_image_is_a_negative_when_an_empty_cell_means_so() -> None:
    text = "image,tags\n1.png,\n2.png,cat\n"
    assert labels(listed(text, empty_is_none=True)) == {"1.png": [], "2.png": [0]}
    reason = "no label: labels.csv:2: column 'tags' is empty"
    assert problems(listed(text)) == [reason, None]


def test_empty_list_is_a_negative_and_null_is_no_label() -> None:
    text = '{"image": "1.png", "tags": []}\n{"image": "2.png", "tags": null}\n'
    text += '{"image": "deep/3.png", "tags": [7]}\n'
    entries = found(listed(text, "labels.jsonl", separator=None))
    assert [entry.label for entry in entries] == [[], None, [0]]
    assert entries[1].problem == "no label: labels.jsonl:2: column 'tags' is empty"


def test_splits_are_known_by_what_people_call_them() -> None:
    text = "image,tags,set\n1.png,cat,Training\n2.png,dog,val2017\ndeep/3.png,cat,holdout\n"
    listing = listed(text, split="set")
    assert listing.splits == {"train", "val"}
    assert [entry.split for entry in found(listing)] == ["train", "val", None]
    says = "no split: labels.csv:4: 'holdout' is neither train nor val nor test"
    assert problems(listing)[2] == says


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("9.png,cat", "no image: labels.csv:3: there is no pictures/9.png"),
        (",cat", "no image: labels.csv:3: column 'image' is empty"),
        ("../2.png,cat", "no image: labels.csv:3: ../2.png leads out of pictures"),
        ("/etc/hosts,cat", "no image: labels.csv:3: .*/etc/hosts leads out of pictures"),
        ("2.png,cow", r"no label: labels.csv:3: 'cow' is none of the 3 classes"),
        ("2.png,catt", r"no label: .*none of the 3 classes \(did you mean cat\?\)"),
        ("2.png,cat;dog;cat", "no label: labels.csv:3: names 'cat' twice"),
        ("2.png,", "no label: labels.csv:3: column 'tags' is empty"),
    ],
)
def test_row_is_quarantined_with_its_line_when_it_cannot_be_used(row: str, reason: str) -> None:
    listing = listed(f"image,tags\n1.png,cat\n{row}\n", classes=["cat", "dog", "emu"])
    first, second = found(listing)
    assert first.problem is None
    assert second.label is None
    assert second.problem is not None
    assert re.fullmatch(reason, second.problem), second.problem


@pytest.mark.parametrize(
    ("cell", "several", "reason"),
    [
        ("2", True, "column 'cat' holds '2', expected 0 or 1"),
        ("", True, "column 'cat' is empty, expected 0 or 1"),
        ("0", False, "0 columns hold 1, an image has one class"),
    ],
)
def test_column_of_a_class_holds_0_or_1(cell: str, several: bool, reason: str) -> None:
    text = f"image,cat,dog\n1.png,0,1\n2.png,{cell},0\n"
    changes: dict[str, Any] = {"label": None, "separator": None, "several": several}
    assert problems(listed(text, **changes)) == [None, f"no label: labels.csv:3: {reason}"]


def test_first_row_is_used_when_two_say_the_same() -> None:
    listing = listed("image,tags\n1.png,cat;dog\n2.png,cat\n./1.png,dog;cat\n")
    said = "listed twice: labels.csv:4: another row says the same of 1.png"
    assert problems(listing) == [None, None, said]
    assert len({entry.id for entry in found(listing)}) == 3


def test_no_row_is_used_when_two_say_different_things_of_an_image() -> None:
    listing = listed("image,tags\n1.png,cat\n2.png,cat\n1.png,dog\n")
    assert problems(listing) == [
        "listed twice: labels.csv:2: another row says otherwise of 1.png",
        None,
        "listed twice: labels.csv:4: another row says otherwise of 1.png",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"image,tags\n1.png,cat\n2.png,\xff\n", r"labels.csv:3: is not UTF-8 \(byte 7\)"),
        ("image,tags\n1.png,cat\n".encode("utf-16"), "labels.csv:1: (is not UTF-8|holds a NUL)"),
        ("image,tags\n1.png,c\0at\n", "labels.csv:2: holds a NUL byte"),
        ('image,tags\n1.png,"cat"s\n', "labels.csv:2: is no CSV from here on: .*quote"),
        ('image,tags\n1.png,"cat\n2.png,dog\n', "labels.csv:2: is no CSV from here on"),
        ("image,tags\n1.png,cat,dog\n", "labels.csv:2: has 3 cells, the header has 2"),
        ('image,tags\n"1.png","c\nat"\n2.png\n', "labels.csv:4: has 1 cells"),
        ("image,tags,tags\n1.png,cat,dog\n", "labels.csv:1: has two columns 'tags'"),
        ("image;tags\n1.png;cat\n", "has no column 'image'; .*write it with commas"),
        ("picture,tags\n1.png,cat\n", "has no column 'image'; there are picture, tags"),
        ("", "labels.csv: holds no row"),
        ("image,tags\n", "labels.csv: names no class"),
        ("image,tags\n1.png," + "x" * 2**21 + "\n", "labels.csv:2: the line is over"),
        ('image,tags\n1.png,"' + "x\n" * 2**17, "labels.csv:2: is no CSV .*field limit"),
    ],
)
def test_file_is_refused_in_one_line_when_it_is_no_table(text: str | bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        listed(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"image": "1.png", "tags": [}', "labels.jsonl:2: is not valid JSON: .*mend the line"),
        ('["1.png"]', "labels.jsonl:2: is list, expected an object per line"),
        ("[" * 100_000, "labels.jsonl:2: is not valid JSON"),
        ('{"image": "\\ud800.png", "tags": []}', "labels.jsonl:2: is not valid JSON"),
    ],
)
def test_json_line_is_refused_with_its_number_when_it_is_none(line: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        listed(
            '{"image": "1.png", "tags": ["cat"]}\n' + line + "\n", "labels.jsonl", separator=None
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "gone"}, "ingest.source.path: gone: no such folder"),
        ({"split": "tags"}, "no row of column 'tags' says train"),
        ({"several": False}, "separator is for several classes"),
        ({"separator": None, "label": None, "empty_is_none": True}, "empty_is_none is for several"),
        ({"classes": ["cat", "cat"]}, "classes names one twice"),
        ({"image": "imag"}, r"has no column 'imag'; .*did you mean image\?"),
    ],
)
def test_parameters_are_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        listed(SEPARATED, **changes)


@pytest.mark.parametrize(("name", "words"), [("gone.csv", "no such file"), ("a.xlsx", "expected")])
def test_table_is_refused_when_it_is_missing_or_of_another_kind(name: str, words: str) -> None:
    Path("a.xlsx").write_bytes(b"PK")
    source = resolve("data.sources", {**PLAIN, "table": name}, "params.yaml", "ingest.source")
    with pytest.raises(UserError, match=f"ingest.source.table: {name}: {words}"):
        source(Path("unused"))


def test_images_that_no_row_names_are_counted() -> None:
    Path("pictures/notes.txt").write_text("of the field trip")
    text = "image,tags\n1.png,cat\n2.png,dog\n"
    listing = listed(text, "pictures/labels.csv")
    assert str(listing.left_out) == "1 no image (notes.txt), 1 image that no row names (3.png)"


def test_change_of_the_table_is_seen_when_it_lies_elsewhere() -> None:
    listed(SEPARATED)
    before = stamp(PLAIN)
    listed(SEPARATED + "9.png,cat\n")
    assert stamp(PLAIN) != before
