"""One made set in three formats gives the same labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.detected import detected, listed

SCENES = {"method": "digit_scenes", "scenes": 40, "side": 32, "least": 0, "most": 3}
SIDE = 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scenes' pictures in images/ and their labels in all formats."""
    root = tmp_path_factory.mktemp("made")
    listing = listed(SCENES, root / "scenes")
    rows = pq.read_table(root / "scenes/images/scenes.parquet")["image"].to_pylist()
    scenes = [(entry.id.rpartition("/")[2], entry) for entry in listing.entries()]
    for (name, entry), data in zip(scenes, rows, strict=True):
        for folder in ("coco/pictures", "yolo/images", "voc/JPEGImages"):
            write(root / folder / f"{name}.png", data)
        objects = entry.label["objects"]
        write(root / f"yolo/labels/{name}.txt", "\n".join(map(yolo, objects)).encode())
        write(root / f"voc/Annotations/{name}.xml", voc(objects).encode())
    write(root / "coco/all.json", json.dumps(coco(scenes)).encode())
    said = {"train": "images", "names": list("0123456789"), "kpt_shape": [4, 3]}
    write(root / "yolo/data.yaml", json.dumps(said).encode())
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def yolo(found: dict[str, Any]) -> str:
    left, top, right, bottom = (value / SIDE for value in found["box"])
    points = [value if at % 3 == 2 else value / SIDE for at, value in enumerate(found["points"])]
    box = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return " ".join(map(str, (found["category"], *box, *points)))


def voc(objects: list[dict[str, Any]]) -> str:
    parts = []
    for found in objects:
        left, top, right, bottom = (int(value) for value in found["box"])
        sides = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        box = "".join(f"<{name}>{value}</{name}>" for name, value in sides.items())
        parts.append(f"<object><name>{found['category']}</name><bndbox>{box}</bndbox></object>")
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"
    return f"<annotation>{size}{''.join(parts)}</annotation>"


def coco(scenes: list[tuple[str, Any]]) -> dict[str, Any]:
    def annotations() -> Iterator[dict[str, Any]]:
        for number, (_, entry) in enumerate(scenes):
            for found in entry.label["objects"]:
                left, top, right, bottom = found["box"]
                box = [left, top, right - left, bottom - top]
                keys = {"image_id": number, "category_id": 10 * (found["category"] + 1)}
                yield {**keys, "bbox": box, "keypoints": found["points"]}

    names = [name for name, _ in scenes]
    return {
        "images": [{"id": number, "file_name": f"{name}.png", "width": SIDE, "height": SIDE}
                   for number, name in enumerate(names)],
        "annotations": list(annotations()),
        "categories": [{"id": 10 * (digit + 1), "name": str(digit)} for digit in range(10)],
    }  # fmt: skip


def ingested(entry: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return for each picture its hash, label and classes."""
    manifest, rows = detected(entry, out)
    assert manifest.quarantined == {}
    assert manifest.classes == tuple("0123456789")
    return {
        Path(name).stem: (row["sha256"], row["label"], row["classes"]) for name, row in rows.items()
    }


def test_three_formats_of_one_set_give_the_same_labels(made: Path, tmp_path: Path) -> None:
    wanted = ingested(SCENES, tmp_path / "scenes")
    assert sum(len(label["boxes"]) for _, label, _ in wanted.values()) > 30
    sources = (
        {"method": "coco", "path": str(made / "coco"), "annotations": None},
        {"method": "yolo", "path": str(made / "yolo"), "description": None},
        {"method": "voc", "path": str(made / "voc"), "classes": None, "first_pixel": 1},
    )
    for source in sources:
        assert ingested(source, tmp_path / source["method"]) == wanted


def test_points_are_the_same_in_the_formats_that_have_them(made: Path) -> None:
    coco_source = {"method": "coco", "path": str(made / "coco"), "annotations": None}
    yolo_source = {"method": "yolo", "path": str(made / "yolo"), "description": None}
    first, second = (
        {Path(entry.id).stem: entry.label for entry in listed(source, made).entries()}
        for source in (coco_source, yolo_source)
    )
    for name, label in first.items():
        ours = [each["points"] for each in label["objects"]]
        theirs = [each["points"] for each in second[name]["objects"]]
        shares = [[v if at % 3 == 2 else v / SIDE for at, v in enumerate(each)] for each in ours]
        assert theirs == shares
