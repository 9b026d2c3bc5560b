"""Damaged label files: what stands in them is a problem of a picture or a line for the user."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepress.data.labels import Seen
from edgepress.data.objects import admitted
from edgepress.data.picture import UnusableError
from edgepress.errors import UserError
from edgepress.methods import resolve
from tests.detected import picture

SEEN = Seen(40, 30)
PIECES = (b"", b"0", b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'"', b"\xff", b"\0", b"<a>",
          b"&x;", b"9" * 20, b"\n", b" ", b"true", b"..", b"/")  # fmt: skip


def coco(root: Path) -> tuple[Path, dict[str, Any]]:
    ring = [1, 1, 5, 1, 5, 4]
    things = [
        {"id": 1, "image_id": 0, "category_id": 3, "bbox": [2, 3, 10, 5], "segmentation": [ring]},
        {"id": 2, "image_id": 1, "category_id": 4, "bbox": [2, 3, 4, 5], "keypoints": [1, 2, 2],
         "segmentation": {"size": [30, 40], "counts": "o02_T1"}, "iscrowd": 1, "area": 2},
    ]  # fmt: skip
    images = [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in range(2)]
    categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    tree = {"images": images, "annotations": things, "categories": categories}
    path = root / "all.json"
    path.write_text(json.dumps(tree))
    return path, {"method": "coco", "path": str(root), "annotations": "all.json"}


def yolo_lines(root: Path) -> tuple[Path, dict[str, Any]]:
    (root / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (root / "data.yaml").write_text("train: .\nnames: [cat, dog]\n")
    path = root / "0.txt"
    path.write_text("0 0.5 0.5 0.25 0.2\n1 0.1 0.1 0.2 0.1 0.2 0.3\n")
    return path, {"method": "yolo", "path": str(root), "description": "data.yaml"}


def yolo_description(root: Path) -> tuple[Path, dict[str, Any]]:
    yolo_lines(root)
    path = root / "data.yaml"
    path.write_text("path: .\ntrain: [.]\nval: list.txt\nkpt_shape: [1, 3]\nnames: {0: a, 1: b}\n")
    return path, {"method": "yolo", "path": str(root), "description": "data.yaml"}


def voc(root: Path) -> tuple[Path, dict[str, Any]]:
    box = "<bndbox><xmin>3</xmin><ymin>4</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    thing = f"<object><name>cat</name><difficult>0</difficult>{box}</object>"
    text = f"<annotation><size><width>40</width><height>30</height></size>{thing}</annotation>"
    (root / "1.xml").write_text(text)
    path = root / "0.xml"
    path.write_text(text)
    return path, {"method": "voc", "path": str(root), "classes": None, "first_pixel": 1}


@pytest.mark.parametrize("made", [coco, yolo_lines, yolo_description, voc])
def test_damage_is_told_and_never_an_error_of_ours(
    tmp_path: Path, made: Callable[[Path], tuple[Path, dict[str, Any]]]
) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png")
    path, entry = made(tmp_path)
    whole = path.read_bytes()
    source = resolve("data.sources", entry, "params.yaml", "ingest.source")
    rng = random.Random(0)
    told: set[str] = set()
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(data) + 1)
            data[start : start + rng.choice((0, 1, 1, 2, 5))] = rng.choice(PIECES)
        path.write_bytes(data)
        try:
            listing = source(tmp_path / "unused")
            for each in listing.entries():
                if each.problem is None:
                    admitted(each.label, SEEN, len(listing.classes))
                else:
                    told.add(each.problem.split(":")[0])
        except UnusableError as error:
            told.add(str(error).split(":")[0])
        except UserError:  # one line, by its own rule
            told.add("refused")
    assert told
