"""The source `yolo`: lines of every kind, exporters' layouts, and what is wrong in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepress.data.listing import Listing
from edgepress.errors import UserError
from tests.detected import detected, listed, picture

BOX = "0.5 0.5 0.25 0.2"


def source(root: Path, description: str | None = None) -> dict[str, Any]:
    return {"method": "yolo", "path": str(root), "description": description}


def opened(root: Path, description: str | None = None) -> Listing:
    return listed(source(root, description), root / "unused")


def labels(root: Path, description: str | None = None) -> dict[str, Any]:
    """Return objects or problem of each entry."""
    entries = opened(root, description).entries()
    return {each.id: each.problem or each.label["objects"] for each in entries}


def put(root: Path, **texts: str) -> None:
    """Write pictures with the lines of their label files, in images/ and labels/."""
    for name, text in texts.items():
        picture(root / f"images/{name}.png")
        write(root / f"labels/{name}.txt", text)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def describe(root: Path, more: str = "", names: str = "[cat, dog]") -> None:
    write(root / "data.yaml", f"train: images\nnames: {names}\n{more}")


def test_boxes_and_outlines_are_shares_of_the_picture(tmp_path: Path) -> None:
    put(tmp_path, a=f"0 {BOX}\n\n1.0 0.1 0.1 0.2 0.1 0.2 0.3\n")
    describe(tmp_path)
    entry = next(iter(opened(tmp_path).entries()))
    assert (entry.id, entry.split) == ("images/a.png", "train")
    assert {key: entry.label[key] for key in ("width", "height", "relative")} == {
        "width": None, "height": None, "relative": True}  # fmt: skip
    box, outline = entry.label["objects"]
    assert box["box"] == [0.375, 0.4, 0.625, 0.6]
    assert (outline["category"], outline["box"]) == (1, None)
    assert outline["rings"] == [[0.1, 0.1, 0.2, 0.1, 0.2, 0.3]]


@pytest.mark.parametrize(
    ("shape", "line", "points"),
    [
        ("[2, 3]", "0.1 0.2 2 0 0 0", [0.1, 0.2, 2, 0, 0, 0]),
        ("[2, 2]", "0.1 0.2 0 0", [0.1, 0.2, 2, 0, 0, 0]),
        ("[1, 2]", "-1 0.2", [0, 0, 0]),
    ],
)
def test_keypoints_are_read_as_their_shape_says(
    tmp_path: Path, shape: str, line: str, points: list[float]
) -> None:
    put(tmp_path, a=f"0 {BOX} {line}\n0 {BOX}")
    describe(tmp_path, f"kpt_shape: {shape}")
    first, second = labels(tmp_path)["images/a.png"]
    assert first["points"] == points
    assert first["box"] == second["box"] == [0.375, 0.4, 0.625, 0.6]
    assert second["points"] is None


@pytest.mark.parametrize("names", ["{0: cat, 7: dog, 3: cow}", "{'0': cat, '7': dog, '3': cow}"])
def test_names_are_numbered_without_gaps_when_they_have_numbers(tmp_path: Path, names: str) -> None:
    put(tmp_path, a=f"7 {BOX}\n0 {BOX}\n3 {BOX}")
    describe(tmp_path, names=names)
    assert opened(tmp_path).classes == ("cat", "cow", "dog")
    assert [each["category"] for each in labels(tmp_path)["images/a.png"]] == [2, 0, 1]


def test_names_without_an_object_are_no_classes(tmp_path: Path) -> None:
    put(tmp_path, a=f"1 {BOX}")
    describe(tmp_path, names="[cat, dog, 5]")
    found = opened(tmp_path)
    assert found.classes == ("dog",)
    assert str(found.left_out) == "2 class without an object (cat)"
    assert labels(tmp_path)["images/a.png"][0]["category"] == 0


def test_ingest_takes_boxes_into_pixels(tmp_path: Path) -> None:
    put(tmp_path, **{f"p{number}": f"0 {BOX}" for number in range(12)})
    describe(tmp_path)
    picture(tmp_path / "images/p0.png", 40, 30, orientation=6)
    manifest, rows = detected(source(tmp_path), tmp_path / "out")
    assert manifest.usable == 12
    assert rows["images/p1.png"]["label"]["boxes"] == [[15, 12, 25, 18]]
    assert rows["images/p0.png"]["label"]["boxes"] == [[11.25, 16, 18.75, 24]]  # of 30 x 40
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}


def test_limit_takes_so_many_of_each_split(tmp_path: Path) -> None:
    put(tmp_path, **{f"p{number}": f"0 {BOX}" for number in range(12)})
    describe(tmp_path)
    manifest, _ = detected(source(tmp_path), tmp_path / "out", limit=1)
    assert manifest.items == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images/train\nval: images/val\ntest: images/test",
        "path: .\ntrain: [images/train]\nval: ./images/val\ntest: train/gone",
        "path: ../datasets/pets\ntrain: images/train\nval: images/val\ntest:",
        "path: /content/pets\ntrain: /content/pets/images/train\nvalid: images/val",
        "train: train.txt\nval: lists/val.txt",
        "train: ../images/train\nval: ../images/val\ntest: ../images/test",
    ],
)
def test_splits_are_those_of_the_file(tmp_path: Path, yaml: str) -> None:
    put(tmp_path, **{"train/1": f"0 {BOX}", "val/1": f"0 {BOX}"})
    write(tmp_path / "train.txt", "./images/train/1.png\n\n")
    write(tmp_path / "lists/val.txt", "/data/me/pets/images/val/1.png\n")
    write(tmp_path / "data.yaml", f"{yaml}\nnc: 1\nnames: [cat]\n")
    found = opened(tmp_path)
    assert {entry.id: entry.split for entry in found.entries()} == {
        "images/train/1.png": "train",
        "images/val/1.png": "val",
    }
    assert found.splits == {"train", "val"}
    absent = "split whose folder or list is not there"
    assert found.left_out.counts[absent] == ("gone" in yaml or "images/test" in yaml)


def test_export_of_roboflow_is_read_as_it_comes(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / f"{split}/images/1_png.rf.0a.png")
        write(tmp_path / f"{split}/labels/1_png.rf.0a.txt", f"0 {BOX}")
    write(tmp_path / "README.roboflow.txt", "exported")
    splits = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    write(tmp_path / "data.yaml", f"{splits}nc: 1\nnames: ['cat']\nroboflow:\n  version: 1\n")
    found = opened(tmp_path)
    assert {entry.id: (entry.split, entry.problem) for entry in found.entries()} == {
        "train/images/1_png.rf.0a.png": ("train", None),
        "valid/images/1_png.rf.0a.png": ("val", None),
    }
    assert found.left_out.counts == {"split whose folder or list is not there": 1, "no image": 1}


@pytest.mark.parametrize("prefix", ["data/", ""])
def test_export_of_cvat_is_read_as_it_comes(tmp_path: Path, prefix: str) -> None:
    for number in range(2):
        picture(tmp_path / f"obj_train_data/frame_{number}.png")
        write(tmp_path / f"obj_train_data/frame_{number}.txt", f"1 {BOX}" if number else "")
    write(tmp_path / "obj.names", "cat\ndog\n")
    said = f"classes = 2\nnames = {prefix}obj.names\ntrain = {prefix}train.txt\nbackup = backup/\n"
    write(tmp_path / "obj.data", said)
    places = [f"{prefix}obj_train_data/frame_{number}.png\n" for number in range(2)]
    write(tmp_path / "train.txt", "".join(places))
    found = opened(tmp_path)
    assert found.classes == ("dog",)
    assert found.splits == {"train"}
    assert [len(entry.label["objects"]) for entry in found.entries()] == [0, 1]
    assert found.left_out.counts == {"class without an object": 1}


def test_export_of_label_studio_is_read_as_it_comes(tmp_path: Path) -> None:
    put(tmp_path, a=f"0 {BOX}")
    picture(tmp_path / "images/b.png")  # without objects there is no label file
    write(tmp_path / "classes.txt", "cat\n")
    write(tmp_path / "notes.json", "{}")
    found = opened(tmp_path)
    assert {entry.id: (entry.split, len(entry.label["objects"])) for entry in found.entries()} == {
        "images/a.png": (None, 1),
        "images/b.png": (None, 0),
    }
    assert found.left_out.counts == {
        "picture without a label, kept as one without objects": 1,
        "no image": 1,
    }


def test_names_alone_leave_the_splits_to_folders(tmp_path: Path) -> None:
    put(tmp_path, **{"train/1": f"0 {BOX}", "val/1": f"0 {BOX}"})
    write(tmp_path / "obj.names", "cat")
    assert opened(tmp_path, "obj.names").splits == {"train", "val"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"0 {BOX}\n2 {BOX}", "unknown class: a.txt line 2: there is no name for 2"),
        (f"-1 {BOX}", "unknown class: a.txt line 1: there is no name for -1"),
        (f"0.5 {BOX}", "unreadable label: a.txt line 1: class 0.5 is no whole number"),
        (f"nan {BOX}", "unreadable label: a.txt line 1: class nan is no whole number"),
        (f"cat {BOX}", "unreadable label: a.txt line 1: expected numbers, got 'cat 0.5 0.5"),
        ("0 0.5 0.5 0.2", "unreadable label: a.txt line 1: expected a class and 4 numbers, or an"),
        (f"0 {BOX} 0.9", "unreadable label: a.txt line 1: expected a class and 4 numbers, or an"),
        ("\n\n0 0.5 0.5 -0.2 0.2", "unreadable label: a.txt line 3: the box ends before it begin"),
        ("\x00\ufffd", "unreadable label: a.txt line 1: expected numbers"),
    ],
)
def test_picture_is_set_aside_when_a_line_cannot_be_read(
    tmp_path: Path, text: str, problem: str
) -> None:
    put(tmp_path, a=text, b=f"0 {BOX}\n1 {BOX}")
    describe(tmp_path)
    found = labels(tmp_path)
    assert found["images/a.png"].startswith(problem)
    assert len(found["images/b.png"]) == 2


def test_line_with_keypoints_is_refused_when_some_are_missing(tmp_path: Path) -> None:
    put(tmp_path, a=f"0 {BOX} 0.1 0.2 2 0.1 0.2", b=f"0 {BOX}")
    describe(tmp_path, "kpt_shape: [2, 3]")
    assert labels(tmp_path)["images/a.png"] == (
        "unreadable label: a.txt line 1: expected a class and 10 numbers; got 9"
    )


def test_run_goes_on_when_labels_are_bad(tmp_path: Path) -> None:
    bad = {"p0": f"9 {BOX}", "p1": "0 320 240 50 60", "p2": "0 0.5 0.5 nan 1", "p3": "?"}
    good = {f"p{number}": f"0 {BOX}" for number in range(12)}
    put(tmp_path, **{**good, **bad})
    describe(tmp_path)
    manifest, rows = detected(source(tmp_path), tmp_path / "out")
    assert manifest.quarantined == {"label": 2, "unknown class": 1, "unreadable label": 1}
    assert manifest.usable == 8
    assert "lies outside the picture" in rows["images/p1.png"]["reason"]


def test_what_has_no_counterpart_is_counted(tmp_path: Path) -> None:
    put(tmp_path, **{"train/1": f"0 {BOX}", "extra/1": f"0 {BOX}"})
    picture(tmp_path / "images/train/2.png")
    write(tmp_path / "labels/train/3.txt", f"0 {BOX}")
    write(tmp_path / "notes.txt", "of mine")
    write(tmp_path / "data.yaml", "train: images/train\nnames: [cat]\n")
    assert opened(tmp_path).left_out.counts == {
        "picture that no split lists": 1,
        "picture without a label, kept as one without objects": 1,
        "label without a picture": 2,
        "no image": 1,
    }


def test_picture_is_set_aside_when_two_splits_list_it(tmp_path: Path) -> None:
    put(tmp_path, a=f"0 {BOX}", b=f"0 {BOX}")
    describe(tmp_path, "val: val.txt")
    write(tmp_path / "val.txt", "images/a.png")
    found = labels(tmp_path)
    assert found["images/a.png"] == "repeated image: train lists it, val again"
    assert len(found["images/b.png"]) == 1


def test_picture_is_set_aside_when_a_list_names_it_and_it_is_not_there(tmp_path: Path) -> None:
    put(tmp_path, a=f"0 {BOX}")
    write(tmp_path / "train.txt", "images/a.png\nimages/gone.png\nimages/a.png\n")
    write(tmp_path / "data.yaml", "train: train.txt\nnames: [cat]\n")
    found = opened(tmp_path)
    problems = {entry.id: entry.problem for entry in found.entries()}
    assert problems == {
        "images/a.png": None,
        "images/gone.png": f"no image: {tmp_path} has no images/gone.png",
    }
    assert found.left_out.counts == {"picture listed again": 1}


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: [", "data.yaml: not valid YAML"),
        ("[1]", "data.yaml: expected a mapping at the top"),
        ("names: [cat]", "data.yaml: train: missing; name the folder or list"),
        ("names: [cat]\ntrain: gone", "data.yaml: train: gone: no such folder or list below"),
        ("names: [cat]\ntrain: {a: b}", "data.yaml: train: expected a path or a list of them"),
        ("train: images", "data.yaml: names: expected a list, or numbers with names, got None"),
        ("train: images\nnames: [yes, no]", "data.yaml: names: 0 is True; write it in quotes"),
        ("train: images\nnames: [a, b, a]", "data.yaml: names: 0 and 2 are both 'a'; rename one"),
        ("train: images\nnames: {a: b}", "data.yaml: names: 'a' is no number of a class"),
        ("train: images\nnames: [a]\nkpt_shape: [1]", "data.yaml: kpt_shape: expected .points, 2"),
        ("train: images\nnames: {1: dog}", "1 label files none has an object with a name of data"),
    ],
)
def test_description_is_refused_in_one_line(tmp_path: Path, yaml: str, words: str) -> None:
    put(tmp_path, a=f"0 {BOX}")
    write(tmp_path / "data.yaml", yaml)
    with pytest.raises(UserError, match=words) as caught:
        labels(tmp_path)
    assert "\n" not in str(caught.value)


def test_folder_is_refused_when_nothing_or_too_much_describes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected data.yaml, .* to describe the set, holds none"):
        labels(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path / name, "train: images\nnames: [cat]")
    with pytest.raises(UserError, match="holds a.yaml, b.yaml; name it in ingest.source.descr"):
        labels(tmp_path)
    with pytest.raises(UserError, match="../a.yaml does not lie below"):
        labels(tmp_path, "../a.yaml")
    with pytest.raises(UserError, match="gone.yaml: file not found"):
        labels(tmp_path, "gone.yaml")
    with pytest.raises(UserError, match="ingest.source.path: .*gone: no such folder"):
        labels(tmp_path / "gone")
    put(tmp_path, a=f"0 {BOX}")
    assert len(labels(tmp_path, "b.yaml")) == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"obj.data": "train = train.txt"}, "obj.data: names: obj.names: no such file; add it"),
        ({"obj.data": "", "obj.names": "cat"}, "obj.data: train: missing; name the list"),
        ({"classes.txt": ""}, "classes.txt: names: expected a list"),
    ],
)
def test_names_of_other_tools_are_refused_in_one_line(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(UserError, match=words):
        labels(tmp_path)
