"""`edgepress data convert`: there and back again, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgepress.cli import main
from edgepress.data.listing import Listing
from edgepress.data.writers.drawn import Drawn, drawn
from tests.detected import listed, picture

Say = Callable[..., str]
SCENES = {"method": "digit_scenes", "scenes": 20, "side": 48, "least": 0, "most": 3}
COCO: dict[str, Any] = {"method": "coco", "annotations": None}
YOLO: dict[str, Any] = {"method": "yolo", "description": None}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(place: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `edgepress data convert` on a source; return what it prints, or its one-line refusal."""

    def run(source: dict[str, Any], *options: str, code: int = 0) -> str:
        Path("params.yaml").write_text(yaml.safe_dump({"ingest": {"source": source}}))
        assert main(["data", "convert", "params.yaml", *options]) == code
        out, err = capsys.readouterr()
        assert err.count("\n") == (code > 0)
        return err if code else out

    return run


def write_coco(root: Path, splits: tuple[str, ...] = ("train", "val")) -> dict[str, Any]:
    """Write pictures with objects of every kind, one turned, names alike in two folders."""
    ring = [1.5, 1.0, 5.0, 1.0, 5.0, 4.25]
    kinds: list[dict[str, Any]] = [
        {"bbox": [1 / 3, 2, 10.1, 5], "area": 20.5, "segmentation": [ring, ring[::-1]]},
        {"bbox": [2, 3, 4, 5], "iscrowd": 1, "segmentation": [ring]},
        {"bbox": [2, 3, 4, 5], "ignore": 1},
        {"keypoints": [1, 2, 2, 0, 0, 0, 7.5, 8, 1], "bbox": [1, 2, 7, 7]},
    ]
    for split in splits:
        images, things = [], []
        for number, name in enumerate(("a/1.png", "b/1.png", "turned.jpg")):
            turn = 6 if "turned" in name else 1
            picture(root / split / name, 40, 30, turn)
            images.append({"id": number, "file_name": name, "width": 40, "height": 30})
            things += [{"image_id": number, "category_id": at % 2, **kind}
                       for at, kind in enumerate(kinds[: 4 - number])]  # fmt: skip
        categories = [{"id": 0, "name": "yes"}, {"id": 1, "name": "b: #2"}]
        tree = {"images": images, "annotations": things, "categories": categories}
        (root / split / "_annotations.coco.json").write_text(json.dumps(tree))
    return {**COCO, "path": str(root)}


def pictures(listing: Listing, folder: Path) -> list[Drawn]:
    return sorted(drawn(listing, folder, Counter()), key=order)


def order(each: Drawn) -> tuple[str, bytes]:
    return each.split or "", each.data


def same(ours: list[Drawn], theirs: list[Drawn], *, boxes_alone: bool = False) -> None:
    """Hold every object of two sets against each other."""
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        assert (one.split, one.data, one.size) == (two.split, two.data, two.size)
        wanted = one.objects
        if boxes_alone:
            wanted = [each for each in wanted if not (each.crowd or each.ignore)]
        assert len(two.objects) == len(wanted)
        for a, b in zip(wanted, two.objects, strict=True):
            assert a.category == b.category
            np.testing.assert_allclose(a.box, b.box, rtol=0, atol=1e-9)
            if boxes_alone:
                continue
            assert (a.crowd, a.ignore) == (b.crowd, b.ignore)
            assert a.area == pytest.approx(b.area, abs=1e-9)
            assert len(a.rings) == len(b.rings)
            for mine, other in zip((*a.rings, a.points), (*b.rings, b.points), strict=True):
                np.testing.assert_allclose(mine, other, rtol=0, atol=1e-9)


def test_every_kind_of_object_comes_back_from_coco(place: Path, say: Say) -> None:
    source = write_coco(place / "set")
    said = say(source, "out", "--to", "coco")
    assert "6 pictures with 18 objects of 2 classes" in said
    assert "next: ingest.source: {method: coco, path: out, annotations: null}" in said
    again = listed({**COCO, "path": "out"}, place / "unused")
    assert again.classes == ("yes", "b: #2")
    assert again.splits == {"train", "val"}
    assert {entry.id for entry in again.entries() if entry.split == "val"} == {
        "images/val/val-a-1.png", "images/val/val-b-1.png", "images/val/turned.jpg"}  # fmt: skip
    assert again.left_out.counts == {}
    same(pictures(listed(source, place), place), pictures(again, place))


def test_boxes_come_back_from_yolo_and_the_rest_is_counted(place: Path, say: Say) -> None:
    source = write_coco(place / "set")
    said = say(source, "out", "--to", "yolo")
    assert "6 pictures with 8 objects of 2 classes" in said
    assert ("without a place in the format: 10 crowds and objects to ignore, 6 outlines, 2 sets "
            "of points") in said  # fmt: skip
    again = listed({**YOLO, "path": "out"}, place / "unused")
    assert again.classes == ("yes", "b: #2")
    same(pictures(listed(source, place), place), pictures(again, place), boxes_alone=True)


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_made_scenes_come_back_with_their_points(place: Path, say: Say, form: str) -> None:
    say(SCENES, "out", "--to", form)
    entry = {**(COCO if form == "coco" else YOLO), "path": "out"}
    scenes = pictures(listed(SCENES, place / "scenes"), place / "scenes")
    assert sum(len(each.objects) for each in scenes) > 20
    same(scenes, pictures(listed(entry, place / "unused"), place))


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_set_without_splits_is_written_as_one(place: Path, say: Say, form: str) -> None:
    source = {**write_coco(place / "set"), "annotations": "train/_annotations.coco.json"}
    said = say(source, "out", "--to", form)
    assert "3 pictures" in said
    assert "left out: 3 picture that no JSON file lists (1.png), 1 no image (" in said
    entry = {**(COCO if form == "coco" else YOLO), "path": "out"}
    found = listed(entry, place / "unused")
    assert found.splits == (frozenset() if form == "coco" else {"train"})
    assert len(list(found.entries())) == 3


def test_files_of_the_user_are_linked_or_copied_and_never_changed(place: Path, say: Say) -> None:
    source = write_coco(place / "set")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns)
              for path in (place / "set").rglob("*") if path.is_file()}  # fmt: skip
    say(source, "linked", "--to", "yolo", "--images", "link")
    say(source, "copied", "--to", "yolo")
    link = place / "linked/images/train/turned.jpg"
    assert link.is_symlink()
    assert link.resolve() == place / "set/train/turned.jpg"
    assert not (place / "copied/images/train/turned.jpg").is_symlink()
    assert link.read_bytes() == (place / "copied/images/train/turned.jpg").read_bytes()
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}
    assert after == before
    say(SCENES, "scenes", "--to", "yolo", "--images", "link")
    assert not any(path.is_symlink() for path in (place / "scenes/images").rglob("*"))


def test_pictures_that_cannot_be_used_are_counted(place: Path, say: Say) -> None:
    source = write_coco(place / "set")
    (place / "set/train/a/1.png").write_bytes(b"broken")
    (place / "set/val/a/1.png").unlink()
    said = say(source, "out", "--to", "coco")
    assert "4 pictures" in said
    assert "set aside: 1 not an image, 1 no image" in said


def test_nothing_is_left_behind_when_no_picture_can_be_used(place: Path, say: Say) -> None:
    source = write_coco(place / "set")
    for path in (place / "set").rglob("*.*g"):
        path.write_bytes(b"broken")
    words = say(source, "out", "--to", "coco", code=2)
    assert "set: no picture can be used: 6 not an image" in words
    assert {path.name for path in place.iterdir()} == {"set", "params.yaml"}


def test_preset_is_known_by_its_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("presets").mkdir()
    Path("presets/scenes.yaml").write_text(yaml.safe_dump({"ingest": {"source": SCENES}}))
    assert main(["data", "convert", "scenes", "out", "--to", "coco"]) == 0
    assert "20 pictures" in capsys.readouterr().out
    assert main(["data", "convert", "scene", "out2", "--to", "coco"]) == 2
    assert "did you mean scenes?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "out", "words"),
    [
        (SCENES, "taken", "taken: is there already; name another place or remove it"),
        (SCENES, "no/where", "no: no such folder; make it first"),
        ({**COCO, "path": "set"}, "set/out", "set/out: lies in the source, set; name a place"),
        ({"method": "digits"}, "out", "ingest.source: digits gives no objects"),
        ({"method": "yolo"}, "out", "params.yaml: ingest.source.path: missing"),
    ],
)
def test_convert_refuses_in_one_line(
    place: Path, say: Say, source: dict[str, Any], out: str, words: str
) -> None:
    Path("taken").mkdir()
    write_coco(place / "set")
    assert words in say(source, out, "--to", "coco", code=2)
    assert not list(place.glob(".*"))


def test_command_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 2
    assert "convert" in capsys.readouterr().err
    assert main(["data", "convert", "params.yaml", "out", "--to", "voc"]) == 2
    assert "invalid choice: 'voc'" in capsys.readouterr().err
