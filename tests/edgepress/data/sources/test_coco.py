"""The source `coco`: objects of every kind, exporters' layouts, and what is wrong in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import UserError
from tests.detected import detected, listed, picture

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}, {"id": 17, "name": "cow"}]


def image(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "width": 40, "height": 30, **changes}


def thing(image_id: Any, category: Any = 3, **changes: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "bbox": [2, 3, 10, 5], **changes}


def write(path: Path, images: list[Any], things: list[Any], categories: Any = CATEGORIES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {"info": {"year": [1]}, "images": images, "annotations": things}
    path.write_text(json.dumps({**tree, "categories": categories}), encoding="utf-8")


def source(root: Path, annotations: Any = None) -> dict[str, Any]:
    return {"method": "coco", "path": str(root), "annotations": annotations}


def labels(root: Path, annotations: Any = None) -> dict[str, Any]:
    """Return label or problem of each entry."""
    found = listed(source(root, annotations), root / "unused")
    return {entry.id: entry.problem or entry.label for entry in found.entries()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve pictures in images/, with one JSON for all; every category is used."""
    for number in range(12):
        picture(tmp_path / f"images/{number}.png")
    things = [thing(number, (3, 17, 90)[number % 3]) for number in range(12)]
    write(tmp_path / "annotations/instances_default.json", [image(n) for n in range(12)], things)
    return tmp_path


def test_categories_are_numbered_in_order_of_their_ids_when_ids_have_gaps(root: Path) -> None:
    manifest, rows = detected(source(root), root / "manifest")
    assert manifest.classes == ("cat", "cow", "dog")
    assert manifest.usable == 12
    assert [rows[f"images/{n}.png"]["label"]["categories"] for n in range(3)] == [[0], [1], [2]]
    assert rows["images/0.png"]["label"]["boxes"] == [[2, 3, 12, 8]]
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}


def test_every_kind_of_object_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "0.png")
    ring = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0]
    things = [
        thing(0, segmentation=[ring], area=6.5, iscrowd=0),
        thing(0, 17, bbox=[], segmentation=[ring], keypoints=[1, 2, 2, 0, 0, 0]),
        thing(0, segmentation={"size": [30, 40], "counts": [31, 2, 1167]}, iscrowd=1),
        thing(0, bbox=None, segmentation={"size": [30, 40], "counts": "o02_T1"}, ignore=1),
    ]
    write(tmp_path / "a.json", [image(0)], things)
    found = labels(tmp_path)["0.png"]
    assert (found["width"], found["height"], found["relative"]) == (40, 30, False)
    polygon, points, crowd, text = found["objects"]
    assert polygon["rings"] == [ring]
    assert (polygon["area"], polygon["crowd"], polygon["ignore"]) == (6.5, False, False)
    assert (points["category"], points["box"], points["area"]) == (1, None, None)
    assert points["points"] == [1, 2, 2, 0, 0, 0]
    assert crowd["crowd"]
    assert sorted(zip(*[iter(crowd["rings"][0])] * 2, strict=True)) == [
        (1, 1), (1, 3), (2, 1), (2, 3)]  # fmt: skip
    assert text["ignore"]
    assert text["rings"] == crowd["rings"]


def test_splits_are_those_of_the_files_when_there_is_one_for_each(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        picture(tmp_path / f"images/{split}/1.png")
        write(tmp_path / f"annotations/instances_{split}.json", [image(1)], [thing(1)])
    found = listed(source(tmp_path), tmp_path)
    assert {entry.id: entry.split for entry in found.entries()} == {
        "images/train2017/1.png": "train",
        "images/val2017/1.png": "val",
    }
    assert found.splits == {"train", "val"}
    assert found.classes == ("cat",)
    assert found.left_out.counts == {"class without an object": 2}


def test_files_are_those_named_when_there_are_others(root: Path) -> None:
    write(root / "annotations/captions.json", [image(0)], [])
    with pytest.raises(UserError, match="2 JSON files for all images.*ingest.source.annotations"):
        labels(root)
    assert len(labels(root, "annotations/instances_default.json")) == 12
    splits = {"train": "annotations/instances_default.json"}
    assert listed(source(root, splits), root).splits == {"train"}


def test_export_of_roboflow_is_read_as_it_comes(tmp_path: Path) -> None:
    group = [{"id": 0, "name": "pets", "supercategory": "none"}]
    kinds = [{"id": 1, "name": "cat", "supercategory": "pets"}]
    for split in ("train", "valid", "test"):
        picture(tmp_path / split / "0.png")  # one name in every folder
        path = tmp_path / split / "_annotations.coco.json"
        write(path, [image(0)], [thing(0, 1, segmentation=[])], group + kinds)
    (tmp_path / "README.roboflow.txt").write_text("exported")
    found = listed(source(tmp_path), tmp_path)
    assert found.classes == ("cat",)
    assert {entry.id: (entry.split, entry.problem) for entry in found.entries()} == {
        "train/0.png": ("train", None),
        "valid/0.png": ("val", None),
        "test/0.png": ("test", None),
    }
    assert found.left_out.counts == {"class without an object": 1, "no image": 1}


def test_export_of_label_studio_is_read_as_it_comes(tmp_path: Path) -> None:
    names = {0: "images/0.png", 1: "images\\1.png"}
    for number in names:
        picture(tmp_path / f"images/{number}.png")
    images = [image(number, file_name=name) for number, name in names.items()]
    things = [{**thing(number, 0), "ignore": 0, "iscrowd": 0} for number in names]
    write(tmp_path / "result.json", images, things, [{"id": 0, "name": "cat"}])
    found = labels(tmp_path)
    assert [found[name]["objects"][0]["category"] for name in sorted(found)] == [0, 0]
    assert sorted(found) == ["images/0.png", "images/1.png"]


def test_picture_without_objects_is_kept_and_others_are_counted(root: Path) -> None:
    write(root / "annotations/instances_default.json", [image(0), image(1)], [thing(1), thing(7)])
    found = listed(source(root), root)
    assert {entry.id: len(entry.label["objects"]) for entry in found.entries()} == {
        "images/0.png": 0,
        "images/1.png": 1,
    }
    assert found.left_out.counts == {
        "picture without a label, kept as one without objects": 1,
        "label without a picture": 1,
        "picture that no JSON file lists": 10,
        "class without an object": 2,
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"category_id": 4}, "unknown class: a.json: annotation 5: there is no category 4"),
        ({"category_id": [4]}, "unknown class: a.json: annotation 5: there is no category [4]"),
        ({"bbox": [1, 2, 3]}, "unreadable label: a.json: annotation 5: bbox: expected x, y, width"),
        ({"bbox": [1, 2, "3", 4]}, "unreadable label: a.json: annotation 5: bbox: expected numb"),
        ({"bbox": [9, 2, -3, 4]}, "unreadable label: a.json: annotation 5: the box ends before"),
        ({"bbox": [1, 2, 10**400, 4]}, "unreadable label: a.json: annotation 5: bbox: holds a "),
        ({"segmentation": [3]}, "unreadable label: a.json: annotation 5: segmentation: expected"),
        ({"segmentation": 3}, "unreadable label: a.json: annotation 5: segmentation is 3"),
        ({"segmentation": {"size": [2, 2], "counts": [5]}}, "unreadable label: a.json: annotation "
         "5: mask: runs of 5 pixels for 2 x 2"),
        ({"segmentation": {"size": [2, 2], "counts": "\u00e9"}}, "unreadable label: a.json: annota"
         "tion 5: mask: counts hold no run lengths"),
        ({"keypoints": {"nose": 1}}, "unreadable label: a.json: annotation 5: keypoints: expected"),
    ],
)  # fmt: skip
def test_picture_is_set_aside_when_an_object_cannot_be_read(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png")
    write(tmp_path / "a.json", [image(0), image(1)], [thing(0), thing(1, id=5) | change])
    found = labels(tmp_path)
    assert found["1.png"].startswith(problem)
    assert len(found["0.png"]["objects"]) == 1


def test_run_goes_on_when_labels_are_bad(root: Path) -> None:
    boxes = {0: [2, 3, 100, 5], 1: [2, 3, 0, 5], 2: [float("nan"), 3, 4, 5], 3: "box"}
    things = [thing(n, bbox=boxes.get(n, [2, 3, 10, 5])) for n in range(12)]
    images = [image(n) for n in range(11)] + [image(11, width=400)]
    write(root / "annotations/instances_default.json", images, things)
    manifest, rows = detected(source(root), root / "manifest")
    assert manifest.quarantined == {"label": 4, "unreadable label": 1}
    assert manifest.usable == 7
    assert "400 x 30" in rows["images/11.png"]["reason"]


def test_repeated_ids_and_files_are_set_aside(root: Path) -> None:
    images = [image(0), image(1), image(1, file_name="2.png"), image(3), image(4), image(5)]
    images[-1]["file_name"] = "images/4.png"
    write(root / "annotations/instances_default.json", images, [thing(0), thing(1)])
    assert {name: str(label)[:29] for name, label in labels(root).items()} == {
        "images/0.png": "{'width': 40, 'height': 30, '",
        "images/1.png": "repeated image: instances_def",
        "images/2.png": "repeated image: instances_def",
        "images/3.png": "{'width': 40, 'height': 30, '",
        "images/4.png": "repeated image: instances_def",
    }


def test_file_that_two_splits_list_is_set_aside_once(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    for split in ("train", "val"):
        write(tmp_path / f"{split}.json", [image(1)], [thing(1)])
    assert labels(tmp_path) == {"1.png": "repeated image: train.json lists it, val.json again"}


def test_listed_picture_is_set_aside_when_it_is_not_there(tmp_path: Path) -> None:
    picture(tmp_path / "valid/1.png")
    for split in ("train", "valid"):
        write(tmp_path / split / "_annotations.coco.json", [image(1)], [thing(1)])
    found = labels(tmp_path)
    assert found["train/1.png"] == f"no image: {tmp_path} has no 1.png"
    assert found["valid/1.png"]["objects"]


def test_listed_picture_is_set_aside_when_two_could_be_meant(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "b/1.png")
    write(tmp_path / "annotations/all.json", [image(1)], [thing(1)])
    assert "a/1.png and b/1.png could both be 1.png" in labels(tmp_path)["annotations/1.png"]


def test_names_that_are_not_utf8_are_set_aside(tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    place.write_bytes(picture(tmp_path / "\u00e9.png").read_bytes())
    images = [image(1, file_name="NAME"), image(2, file_name="\u00e9.png")]
    write(tmp_path / "a.json", images, [thing(1), thing(2)])
    data = (tmp_path / "a.json").read_bytes().replace(b"NAME", b"\xff.png")
    (tmp_path / "a.json").write_bytes(data.replace(b"\\u00e9", "\u00e9".encode()))
    found = labels(tmp_path)
    assert found["\\xff.png"] == "unreadable name: is not UTF-8; rename it"
    assert found["\u00e9.png"]["objects"]


def test_label_is_turned_when_it_was_drawn_on_the_unturned_picture(root: Path) -> None:
    picture(root / "images/0.png", 40, 30, orientation=6)
    _, rows = detected(source(root), root / "manifest")
    row = rows["images/0.png"]
    assert (row["width"], row["height"]) == (30, 40)
    assert row["label"]["boxes"] == [[22, 2, 27, 12]]  # x is height - y, y is x


def test_limit_takes_so_many_of_each_split(root: Path) -> None:
    write(root / "annotations/instances_default.json", [image(n) for n in range(12)],
          [thing(n) for n in range(12)])  # fmt: skip
    manifest, _ = detected(source(root), root / "manifest", limit=1)
    assert manifest.items == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [\n{"id": 1,}\n]}', r"a.json: line 2: expected JSON, found '}'; export"),
        ('{"images": [1, 2', "a.json: line 1: expected JSON, found the end of the file"),
        ('{"images": [] "categories"', "line 1: expected a comma or the end of the object, fou"),
        ("[1, 2]", "expected an object of `images`, `annotations` and `categories`, found '\\['"),
        ("", "a.json: line 1: expected an object"),
        ("{}", "a.json: has no images"),
        ('{"images": [{"id": 1, "file_name": "1.png"}]}', "a.json: has no categories"),
        ('{"images": [' + "[" * 10**5, "numbers and nesting that can be read"),
        ('{"images": [' + "9" * 5000 + "]}", "numbers and nesting that can be read"),
        ('{"images": [{"id": 1, "file_name": "1.png"}], "categories": [{"id": 1, "name": "a"}]}',
         "a.json: has no annotations"),
        ('{"images": [{"id": 1, "file_name": "1.png"}], "categories": [{"id": 1}]}',
         "a.json: categories: expected a name and an id for each"),
        ('{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
         "'b' has the id 1, which is no id or another's"),
        ('{"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, '
         '"category_id": 2}], "categories": [{"id": 1, "name": "a"}]}',
         "no object has a category that is listed"),
    ],
)  # fmt: skip
def test_file_is_refused_in_one_line_when_it_is_no_coco_file(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        labels(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ("gone.json", "gone.json: cannot be read: No such file"),
        ("../a.json", "annotations: ../a.json does not lie below"),
        ({"val": "a.json"}, "annotations: names no file for train"),
        ({"all": "a.json"}, "ingest.source.annotations"),
    ],
)
def test_params_are_refused_in_one_line(tmp_path: Path, annotations: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        labels(tmp_path, annotations)


def test_folder_is_refused_when_it_is_missing_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ingest.source.path: .*gone: no such folder"):
        labels(tmp_path / "gone")
    with pytest.raises(UserError, match="holds no .json file"):
        labels(tmp_path)
