"""A YOLO folder: images/SPLIT, labels/SPLIT and data.yaml.

Format: https://docs.ultralytics.com/datasets/. A line is a box, with its points where every object
of the set has as many. Outlines have no place beside boxes, nor have crowds and what is to be
ignored: they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from edgepress.data.listing import Listing
from edgepress.data.objects import Found
from edgepress.data.writers.drawn import Drawn
from edgepress.data.writers.pictures import How, place
from edgepress.records.manifest import SPLITS


def points_of_each(listing: Listing) -> int:
    """Return the number of points that every object has, 0 where it is not one number."""
    numbers = {
        len(each["points"] or ()) // 3
        for entry in listing.entries()
        if entry.problem is None
        for each in entry.label["objects"]
    }
    return numbers.pop() if len(numbers) == 1 else 0


def write(
    pictures: Iterable[Drawn], out: Path, classes: tuple[str, ...], how: How, points: int
) -> Counter[str]:
    """Write the set into `out`, objects with so many `points`; return what was written and lost."""
    counts: Counter[str] = Counter()
    splits = set()
    for drawn in pictures:
        split = drawn.split or "train"  # where there is no split, a later reader draws it from this
        splits.add(split)
        place(drawn, out / "images" / split, how)
        lines = [_line(each, drawn.size, points) for each in drawn.objects if _fits(each)]
        label = out / "labels" / split / PurePosixPath(drawn.name).with_suffix(".txt").name
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        counts["pictures"] += 1
        counts["objects"] += len(lines)
        counts["crowds and objects to ignore"] += len(drawn.objects) - len(lines)
        counts["outlines"] += sum(bool(each.rings) for each in drawn.objects if _fits(each))
        if not points:
            counts["sets of points"] += sum(bool(len(each.points)) for each in drawn.objects)
    _describe(out, [f"{split}" for split in SPLITS if split in splits], classes, points)
    return counts


def _fits(found: Found) -> bool:
    return not (found.crowd or found.ignore)


def _line(found: Found, size: tuple[int, int], points: int) -> str:
    (left, top, right, bottom), (width, height) = found.box, size
    values = [
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    ]
    if points:
        for x, y, visible in found.points.tolist():
            values += [x / width, y / height, int(visible)] if visible else [0, 0, 0]
    return " ".join(map(repr, (found.category, *values)))


def _describe(out: Path, splits: list[str], classes: tuple[str, ...], points: int) -> None:
    said: dict[str, Any] = {split: f"images/{split}" for split in splits}
    if points:
        said["kpt_shape"] = [points, 3]
    said["names"] = dict(enumerate(classes))
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True)
    (out / "data.yaml").write_text(text, encoding="utf-8")
