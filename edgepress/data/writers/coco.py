"""COCO files: annotations/instances_SPLIT.json, and the pictures in images/SPLIT.

Format: https://cocodataset.org/#format-data. Sizes and coordinates are of the upright picture. A
set without splits is `default`, in images/ itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from edgepress.data.objects import Found
from edgepress.data.writers.drawn import Drawn
from edgepress.data.writers.pictures import How, place


def write(pictures: Iterable[Drawn], out: Path, classes: tuple[str, ...], how: How) -> Counter[str]:
    """Write the set into `out`; return how many pictures and objects there are."""
    written: dict[str, _File] = {}
    counts: Counter[str] = Counter()
    try:
        for drawn in pictures:
            name = drawn.split or "default"
            if name not in written:
                written[name] = _File(out / f"annotations/instances_{name}.json")
            written[name].add(drawn)
            place(drawn, out / "images" / (drawn.split or ""), how)
            counts["pictures"] += 1
            counts["objects"] += len(drawn.objects)
        for file in written.values():
            file.finish(classes)
    finally:
        for file in written.values():
            file.close()
    return counts


class _File:
    """One JSON file; objects are written as they come, pictures and categories after them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._images: list[dict[str, Any]] = []
        self._objects = 0
        self._points: Counter[int] = Counter()
        self._file.write('{"annotations": [')

    def add(self, drawn: Drawn) -> None:
        number = len(self._images) + 1
        width, height = drawn.size
        self._images.append(
            {"id": number, "file_name": drawn.name, "width": width, "height": height}
        )
        for found in drawn.objects:
            self._objects += 1
            points = self._points[found.category]
            self._points[found.category] = max(points, len(found.points))
            entry = {"id": self._objects, "image_id": number, **_annotation(found)}
            self._file.write(f"{',' if self._objects > 1 else ''}\n{json.dumps(entry)}")

    def finish(self, classes: tuple[str, ...]) -> None:
        categories = [
            {"id": number + 1, "name": name, **_named(self._points[number])}
            for number, name in enumerate(classes)
        ]
        images = ",\n".join(map(json.dumps, self._images))
        self._file.write(f'],\n"images": [\n{images}],\n"categories": {json.dumps(categories)}}}\n')

    def close(self) -> None:
        self._file.close()


def _annotation(found: Found) -> dict[str, Any]:
    left, top, right, bottom = found.box
    entry: dict[str, Any] = {
        "category_id": found.category + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": found.area,
        "iscrowd": int(found.crowd),
        "segmentation": [ring.ravel().tolist() for ring in found.rings],
    }
    if len(found.points):
        there = found.points[:, 2:] > 0
        entry["keypoints"] = (found.points * there).ravel().tolist()
        entry["num_keypoints"] = int(there.sum())
    if found.ignore:
        entry["ignore"] = 1
    return entry


def _named(points: int) -> dict[str, Any]:
    """Return the names of a category's points, numbers, where it has any."""
    return (
        {"keypoints": [str(each + 1) for each in range(points)], "skeleton": []} if points else {}
    )
