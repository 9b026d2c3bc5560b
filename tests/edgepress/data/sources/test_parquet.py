from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.listing import Listing
from edgepress.data.sources.parquet import Params, ingest
from edgepress.data.splits import Fractions
from edgepress.data.storage import Storage
from edgepress.errors import UserError
from tests.classified import classified

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, labels: list[Any], *, names: list[str] | None = None, **columns: Any) -> Path:
    images = [{"bytes": f"{path.stem} {n}".encode(), "path": None} for n in range(len(labels))]
    table = pa.table({"image": pa.array(images, STRUCT), "label": labels, **columns})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=3)
    return path


def listed(path: Path, image: str = "image", label: str = "label") -> Listing:
    params = Params(method="parquet", path=str(path), image=image, label=label)
    return ingest(path.parent / "unused", params=params)


def test_hugging_face_names_are_the_classes(tmp_path: Path) -> None:
    listing = listed(write(tmp_path / "a.parquet", [1, 0, 1, 1], names=["cat", "dog"]))
    assert listing.classes == ("cat", "dog")
    assert listing.column == "image"
    found = [(e.id, e.label, e.row, e.split) for e in listing.entries()]
    assert found[:2] == [("a.parquet:0", 1, 0, None), ("a.parquet:1", 0, 1, None)]


def test_class_names_that_occur_twice_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 2], names=["crane", "dog", "crane"])
    assert listed(path).classes == ("crane", "dog", "crane (2)")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([7, 3, 7, 12], ("3", "7", "12")),
        (["dog", "cat", "dog"], ("cat", "dog")),
        (pa.array(["dog", "cat"]).dictionary_encode(), ("cat", "dog")),
    ],
)
def test_distinct_labels_are_the_classes_when_there_are_no_names(
    labels: Any, classes: tuple[str, ...], tmp_path: Path
) -> None:
    listing = listed(write(tmp_path / "a.parquet", labels))
    assert listing.classes == classes
    found = [listing.classes[entry.label] for entry in listing.entries()]
    assert found == [str(value) for value in pa.array(labels).to_pylist()]


def test_plain_binary_column_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1], pixels=pa.array([b"x", b"y"], pa.large_binary()))
    assert listed(path, image="pixels").column == "pixels"


def test_files_tell_their_split_by_name(tmp_path: Path) -> None:
    write(tmp_path / "data/train-00000-of-00002.parquet", [0, 1])
    write(tmp_path / "data/train-00001-of-00002.parquet", [1])
    write(tmp_path / "test/0000.parquet", [0])
    listing = listed(tmp_path)
    assert listing.splits == {"train", "test"}
    assert [(entry.id, entry.split) for entry in listing.entries()] == [
        ("data/train-00000-of-00002.parquet:0", "train"),
        ("data/train-00000-of-00002.parquet:1", "train"),
        ("data/train-00001-of-00002.parquet:0", "train"),
        ("test/0000.parquet:0", "test"),
    ]


def test_rows_without_a_known_label_have_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, None, -1, 2], names=["cat", "dog"])
    problems = [(entry.label, entry.problem) for entry in listed(path).entries()]
    assert problems == [
        (0, None),
        (None, "no label: None is none of the classes"),
        (None, "no label: -1 is none of the classes"),
        (None, "no label: 2 is none of the classes"),
    ]


def test_images_are_read_in_place(tmp_path: Path, encode: Any) -> None:
    pictures = [encode(seed) for seed in range(40)]
    table = pa.table({"image": pa.array(pictures, pa.binary()), "label": [0, 1] * 20})
    path = tmp_path / "data.parquet"
    pq.write_table(table, path, row_group_size=7)
    out = tmp_path / "manifest"
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    manifest = classified(listed(path), out, rules)
    assert sorted(p.name for p in out.iterdir()) == ["manifest.json", "manifest.parquet"]
    assert manifest.usable == 40
    images = ImageSet.open(out)
    assert [images.encoded(index) for index in range(40)] == pictures


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        ("picture", "label", "has no column 'picture'; there are image, label, score"),
        ("image", "klass", "has no column 'klass'"),
        ("score", "label", "column 'score' is double; expected binary"),
        ("image", "score", "column 'score' is double; expected integers or strings"),
    ],
)
def test_wrong_column_is_refused(image: str, label: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1], score=[0.5, 0.6])
    with pytest.raises(UserError, match=message):
        listed(path, image, label)


def test_missing_empty_and_damaged_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ingest.source.path: .*gone: no such file or folder"):
        listed(tmp_path / "gone")
    with pytest.raises(UserError, match=r"holds no .parquet file"):
        listed(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"a.parquet: cannot be read as Parquet"):
        listed(tmp_path)


def test_split_names_for_some_files_only_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "more.parquet", [0, 1])
    with pytest.raises(UserError, match=r"more.parquet: its name tells no split"):
        listed(tmp_path)
    (tmp_path / "more.parquet").unlink()
    (tmp_path / "train.parquet").rename(tmp_path / "test.parquet")
    with pytest.raises(UserError, match="one split must be train"):
        listed(tmp_path)


def test_files_with_different_image_columns_are_read_each_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [0, 1])
    table = pa.table({"image": pa.array([b"x", b"y"], pa.binary()), "label": [0, 1]})
    pq.write_table(table, tmp_path / "b.parquet")
    listing = listed(tmp_path)
    storage = Storage("parquet", Path(), listing.column)
    read = [storage.read(e.path, e.row, None, None) for e in listing.entries()]
    assert read == [b"a 0", b"a 1", b"x", b"y"]


def meanings(listing: Listing) -> list[str | None]:
    return [None if e.label is None else listing.classes[e.label] for e in listing.entries()]


def test_label_means_what_its_own_file_says_when_files_number_classes_differently(
    tmp_path: Path,
) -> None:
    write(tmp_path / "test.parquet", [0, 1, 2], names=["owl", "fox", "elk"])
    write(tmp_path / "train.parquet", [0, 1, 2, 3], names=["elk", "owl", "fox"])
    listing = listed(tmp_path)
    assert listing.classes == ("owl", "fox", "elk")
    assert meanings(listing) == ["owl", "fox", "elk", "elk", "owl", "fox", None]


def test_classes_of_all_files_are_known_when_some_files_name_more(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [0, 1], names=["owl", "fox"])
    write(tmp_path / "b.parquet", [0, 1], names=["ant", "owl"])
    listing = listed(tmp_path)
    assert listing.classes == ("owl", "fox", "ant")
    assert meanings(listing) == ["owl", "fox", "ant", "owl"]


def test_two_classes_of_one_name_are_refused_when_files_number_them_differently(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.parquet", [0, 1, 2], names=["crane", "dog", "crane"])
    write(tmp_path / "b.parquet", [0, 1, 2], names=["crane", "dog", "crane"])
    assert listed(tmp_path).classes == ("crane", "dog", "crane (2)")
    write(tmp_path / "b.parquet", [0, 1, 2], names=["crane", "crane", "dog"])
    with pytest.raises(UserError, match=r"b.parquet: .*another order than in .*a.parquet"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"labels": [0, 1]}, {"labels": ["owl", "fox"]}),
        ({"labels": ["owl", "fox"]}, {"labels": [0, 1]}),
        ({"labels": ["owl", "fox"]}, {"labels": [0, 1], "names": ["owl", "fox"]}),
        ({"labels": [0, 1], "names": ["owl", "fox"]}, {"labels": [0, 1]}),
    ],
)
def test_labels_of_another_kind_are_refused_with_both_files_named(
    first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path / "a.parquet", **first)
    write(tmp_path / "b.parquet", **second)
    with pytest.raises(UserError, match=r"b.parquet: column 'label' holds .*, that of .*a.parquet"):
        listed(tmp_path)


def test_numbers_and_strings_are_alike_whatever_their_width(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", pa.array([7, 3], pa.int8()))
    write(tmp_path / "b.parquet", pa.array([3, 9], pa.uint64()))
    assert meanings(listed(tmp_path)) == ["7", "3", "3", "9"]
    write(tmp_path / "a.parquet", pa.array(["x", "y"], pa.large_string()))
    write(tmp_path / "b.parquet", pa.array(["y", "x"]).dictionary_encode())
    assert meanings(listed(tmp_path)) == ["x", "y", "y", "x"]


def test_label_is_read_by_its_exact_name_when_names_hold_dots(tmp_path: Path) -> None:
    columns = {"label.name": ["dog", "cat"], "label.name.long": ["a dog", "a cat"]}
    path = write(tmp_path / "a.parquet", [0, 1], **columns)
    assert meanings(listed(path, label="label.name")) == ["dog", "cat"]
    assert meanings(listed(path)) == ["0", "1"]


@pytest.mark.parametrize(("image", "label"), [("image", "twice"), ("twice", "label")])
def test_column_named_twice_is_refused(image: str, label: str, tmp_path: Path) -> None:
    columns = [pa.array([b"x"]), pa.array([0]), pa.array([1]), pa.array([2])]
    table = pa.Table.from_arrays(columns, names=["image", "label", "twice", "twice"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet: has 2 columns 'twice'; rename all but one"):
        listed(tmp_path, image, label)
