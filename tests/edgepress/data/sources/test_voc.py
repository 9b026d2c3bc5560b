"""The source `voc`: boxes that count from one, lists of splits, exporters, and broken XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepress.data.listing import Listing
from edgepress.errors import UserError
from tests.detected import detected, listed, picture

SIZE = "<size><width>40</width><height>30</height><depth>3</depth></size>"
BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


def source(root: Path, **changes: Any) -> dict[str, Any]:
    return {"method": "voc", "path": str(root), "classes": None, "first_pixel": 1, **changes}


def opened(root: Path, **changes: Any) -> Listing:
    return listed(source(root, **changes), root / "unused")


def labels(root: Path, **changes: Any) -> dict[str, Any]:
    """Return objects or problem of each entry."""
    entries = opened(root, **changes).entries()
    return {each.id: each.problem or each.label["objects"] for each in entries}


def thing(name: str = "cat", box: str = "3 4 12 8", more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<object><name>{name}</name>{more}<bndbox>{inner}</bndbox></object>"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def annotate(path: Path, *things: str, size: str = SIZE) -> None:
    write(path, f"<annotation><filename>x</filename>{size}{''.join(things)}</annotation>")


def put(root: Path, *names: str) -> None:
    """Write pictures with one cat each."""
    for name in names:
        picture(root / f"JPEGImages/{name}.png")
        annotate(root / f"Annotations/{name}.xml", thing())


def test_boxes_are_read_from_pixels_that_count_from_one(tmp_path: Path) -> None:
    put(tmp_path, "a")
    part = f"<part>{thing('head')}<name>head</name></part>"
    things = (thing("dog", more=part), thing(more="<difficult>1</difficult>"))
    annotate(tmp_path / "Annotations/a.xml", *things)
    found = opened(tmp_path)
    assert found.classes == ("cat", "dog")
    entry = next(iter(found.entries()))
    assert (entry.id, entry.split) == ("JPEGImages/a.png", None)
    assert (entry.label["width"], entry.label["height"], entry.label["relative"]) == (40, 30, False)
    dog, cat = entry.label["objects"]
    assert (dog["category"], dog["box"], dog["ignore"]) == (1, [2, 3, 12, 8], False)
    assert (cat["category"], cat["ignore"]) == (0, True)
    assert labels(tmp_path, first_pixel=0)["JPEGImages/a.png"][0]["box"] == [3, 4, 12, 8]


def test_classes_are_those_given(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    annotate(tmp_path / "Annotations/b.xml", thing("dog"))
    found = labels(tmp_path, classes=["dog", "cow"])
    assert found["JPEGImages/b.png"][0]["category"] == 0
    assert found["JPEGImages/a.png"] == (
        "unknown class: a.xml: object 1: 'cat' is none of the classes"
    )


def test_ingest_gives_pixels_and_difficult_objects_count_for_no_class(tmp_path: Path) -> None:
    put(tmp_path, *(f"p{number}" for number in range(12)))
    annotate(tmp_path / "Annotations/p0.xml", thing(more="<difficult>1</difficult>"))
    picture(tmp_path / "JPEGImages/p1.png", 40, 30, orientation=8)
    manifest, rows = detected(source(tmp_path), tmp_path / "out")
    assert manifest.usable == 12
    assert sum(per["cat"] for per in manifest.counts.values()) == 11
    assert rows["JPEGImages/p0.png"]["label"]["ignored"] == [True]
    assert rows["JPEGImages/p1.png"]["label"]["boxes"] == [[3, 28, 8, 38]]  # y, 40 - x
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}


def test_limit_takes_so_many_of_each_split(tmp_path: Path) -> None:
    put(tmp_path, *(f"p{number}" for number in range(12)))
    manifest, _ = detected(source(tmp_path), tmp_path / "out", limit=1)
    assert manifest.items == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("sets", "splits"),
    [
        ({"train": "a", "val": "b", "trainval": "a\nb", "test": "c"}, ("train", "val", "test")),
        ({"trainval": "a\nb", "test": "c"}, ("train", "train", "test")),
        ({"train": "a  1\nb -1", "val": '"c"'}, ("train", "train", "val")),
        ({"default": "a\nb\nc"}, (None, None, None)),
        ({}, (None, None, None)),
    ],
)
def test_splits_are_those_of_the_lists(
    tmp_path: Path, sets: dict[str, str], splits: tuple[Any, ...]
) -> None:
    put(tmp_path, "a", "b", "c")
    for name, text in sets.items():
        write(tmp_path / f"ImageSets/Main/{name}.txt", text)
    write(tmp_path / "ImageSets/Main/cat_train.txt", "c 1")
    found = opened(tmp_path)
    assert tuple(entry.split for entry in found.entries()) == splits
    assert found.splits == frozenset(splits) - {None}


def test_lists_of_several_years_are_each_for_their_own(tmp_path: Path) -> None:
    for year, name in (("VOC2007", "train"), ("VOC2012", "val")):
        put(tmp_path / year, "a", "b")
        write(tmp_path / year / f"ImageSets/Main/{name}.txt", "a\n")
    found = opened(tmp_path)
    assert {entry.id: entry.split for entry in found.entries()} == {
        "VOC2007/JPEGImages/a.png": "train",
        "VOC2012/JPEGImages/a.png": "val",
    }
    assert found.left_out.counts == {"picture that no image set lists": 2}


def test_export_of_roboflow_is_read_as_it_comes(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        picture(tmp_path / f"{split}/1_png.rf.0a.png")
        annotate(tmp_path / f"{split}/1_png.rf.0a.xml", thing())
    write(tmp_path / "README.dataset.txt", "exported")
    found = opened(tmp_path)
    assert {entry.id: (entry.split, entry.problem) for entry in found.entries()} == {
        "test/1_png.rf.0a.png": ("test", None),
        "train/1_png.rf.0a.png": ("train", None),
        "valid/1_png.rf.0a.png": ("val", None),
    }
    assert found.left_out.counts == {"no image": 1}


def test_export_of_cvat_is_read_as_it_comes(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/session 1/a b.png")
    annotate(tmp_path / "Annotations/session 1/a b.xml", thing(box="0.5 0 12.25 8"))
    write(tmp_path / "ImageSets/Main/train.txt", '"session 1/a b"\n')
    write(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions")
    found = opened(tmp_path, first_pixel=0)
    assert [(entry.id, entry.split) for entry in found.entries()] == [
        ("JPEGImages/session 1/a b.png", "train")
    ]
    assert labels(tmp_path, first_pixel=0)["JPEGImages/session 1/a b.png"][0]["box"][0] == 0.5


def test_export_of_label_studio_is_read_as_it_comes(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    annotate(tmp_path / "Annotations/a.xml", thing(box="0 0 12 8"))
    assert len(labels(tmp_path, first_pixel=0)["images/a.png"]) == 1


def test_folders_that_are_named_for_splits_are_splits(tmp_path: Path) -> None:
    for name in ("Training", "Validation", "Testing"):
        picture(tmp_path / f"{name}/Images/1.png")
        annotate(tmp_path / f"{name}/Annotations/1.xml", thing())
    assert {entry.id: (entry.split, entry.problem) for entry in opened(tmp_path).entries()} == {
        "Testing/Images/1.png": ("test", None),
        "Training/Images/1.png": ("train", None),
        "Validation/Images/1.png": ("val", None),
    }


def test_size_of_zero_says_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a")
    zero = "<size><width>0</width><height>0</height></size>"
    for size in (zero, "", "<size><width>wide</width></size>"):
        annotate(tmp_path / "Annotations/a.xml", thing(), size=size)
        label = next(iter(opened(tmp_path).entries())).label
        assert (label["width"], label["height"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<annotation>\n<object>", "unreadable label: a.xml: no XML: no element found: line 2"),
        ("", "unreadable label: a.xml: no XML: no element found: line 1"),
        ("<html/>", "unreadable label: a.xml: expected annotation, is html"),
        (f"{BOMB}<annotation>&c;</annotation>", "unreadable label: a.xml: declares a document ty"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "unreadable label: a.xml: decla"),
        ("<annotation>&other;</annotation>", "unreadable label: a.xml: no XML: undefined entity"),
        ("<annotation>" + "<a>" * 40, "unreadable label: a.xml: is nested more than 32 deep"),
        ('<?xml version="1.0" encoding="big5"?><annotation/>', "unreadable label: a.xml: its enc"),
        ('<?xml version="1.0" encoding="none"?><annotation/>', "unreadable label: a.xml: "),
        (f"<annotation>{thing()}{thing(box='1 x 3 4')}</annotation>",
         "unreadable label: a.xml: object 2: ymin: expected a number, got 'x'"),
        (f"<annotation>{thing(box='9 2 3 4')}</annotation>",
         "unreadable label: a.xml: object 1: the box ends before it begins"),
        ("<annotation><object><name>cat</name></object></annotation>",
         "unreadable label: a.xml: object 1: has no bndbox"),
        ("<annotation><object/></annotation>", "unknown class: a.xml: object 1: '' is none"),
    ],
)  # fmt: skip
def test_picture_is_set_aside_when_its_file_cannot_be_read(
    tmp_path: Path, text: str, problem: str
) -> None:
    put(tmp_path, "a", "b")
    write(tmp_path / "Annotations/a.xml", text)
    found = labels(tmp_path)
    assert found["JPEGImages/a.png"].startswith(problem)
    assert len(found["JPEGImages/b.png"]) == 1


def test_picture_is_set_aside_when_its_file_is_too_large(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    write(tmp_path / "Annotations/a.xml", " " * (2**23 + 1))
    assert (
        labels(tmp_path)["JPEGImages/a.png"] == "unreadable label: a.xml: is over 8,388,608 bytes"
    )


def test_run_goes_on_when_labels_are_bad(tmp_path: Path) -> None:
    put(tmp_path, *(f"p{number}" for number in range(12)))
    annotate(tmp_path / "Annotations/p0.xml", thing(box="3 4 60 8"))
    annotate(tmp_path / "Annotations/p1.xml", thing(box="nan 4 6 8"))
    annotate(tmp_path / "Annotations/p2.xml", thing(), size=SIZE.replace("40", "80"))
    write(tmp_path / "Annotations/p3.xml", "?")
    (tmp_path / "Annotations/p4.xml").unlink()
    manifest, rows = detected(source(tmp_path), tmp_path / "out")
    assert manifest.quarantined == {"label": 3, "no label": 1, "unreadable label": 1}
    assert manifest.usable == 7
    assert "80 x 30" in rows["JPEGImages/p2.png"]["reason"]
    assert rows["JPEGImages/p4.png"]["reason"] == "no label: no XML file has its name"


def test_what_has_no_counterpart_is_counted_or_set_aside(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    annotate(tmp_path / "Annotations/c.xml", thing())
    picture(tmp_path / "JPEGImages/b.jpg")
    write(tmp_path / "ImageSets/Main/train.txt", "a\nb\ngone\n")
    write(tmp_path / "ImageSets/Main/val.txt", "a\n")
    found = opened(tmp_path)
    assert {entry.id: entry.problem for entry in found.entries()} == {
        "JPEGImages/a.png": "repeated image: train lists it, val again",
        "JPEGImages/b.jpg": "repeated image: JPEGImages/b.jpg and JPEGImages/b.png have one name",
        "JPEGImages/b.png": "repeated image: JPEGImages/b.jpg and JPEGImages/b.png have one name",
        "gone": "no image: ImageSets lists gone, which is not there",
    }
    assert found.left_out.counts == {"label without a picture": 1}


def test_source_refuses_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ingest.source.path: .*gone: no such folder"):
        labels(tmp_path / "gone")
    with pytest.raises(UserError, match="0 XML files beside a picture of their name, and no obj"):
        labels(tmp_path)
    with pytest.raises(UserError, match="classes: expected names without repeats, got .'a', 'a'."):
        labels(tmp_path, classes=["a", "a"])
