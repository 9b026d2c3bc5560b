"""Label files of YOLO: a line an object, its class and coordinates as shares of the picture.

Formats: https://docs.ultralytics.com/datasets/. Four coordinates are a box by its middle and size;
six and more, in pairs, an outline; with keypoints there are as many more as they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgepress.data.picture import UnusableError
from edgepress.data.sources._lines import lines
from edgepress.data.sources._objects import UNKNOWN_CLASS, UNREADABLE, corners, labelled

Keypoints = tuple[int, int]
"""How many there are, and 2 for x, y, or 3 for x, y, visible."""

_SEEN = 2.0


def yolo_objects(
    path: Path, index: Mapping[int, int], keypoints: Keypoints | None
) -> list[dict[str, Any]]:
    """Return the objects of a label file; `index` leads from its numbers to classes.

    The first line that cannot be read is `UnusableError`.
    """
    found = []
    for number, text in lines(path):
        where = f"{path.name} line {number}"
        found.append(_object(_numbers(text, where), index, keypoints, where))
    return found


def classes_in(path: Path) -> set[int]:
    """Return the class numbers that lines of a label file begin with, as far as it can be read."""
    try:
        firsts = {text.split(maxsplit=1)[0] for _, text in lines(path)}
    except UnusableError:
        return set()
    found = set()
    for first in firsts:
        with suppress(ValueError, OverflowError):
            found.add(int(float(first)))
    return found


def _numbers(text: str, where: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise UnusableError(f"{UNREADABLE}: {where}: expected numbers, got {text[:60]!r}") from None


def _object(
    line: list[float], index: Mapping[int, int], keypoints: Keypoints | None, where: str
) -> dict[str, Any]:
    number, values = line[0], line[1:]
    if not number.is_integer():
        raise UnusableError(f"{UNREADABLE}: {where}: class {number:g} is no whole number")
    if int(number) not in index:
        raise UnusableError(f"{UNKNOWN_CLASS}: {where}: there is no name for {number:g}")
    category = index[int(number)]
    expected = 4 if keypoints is None else 4 + keypoints[0] * keypoints[1]
    if len(values) in (4, expected):
        points = _points(values[4:], keypoints) if keypoints and len(values) > 4 else None
        return labelled(category, box=_box(values, where), points=points)
    if keypoints is not None or len(values) < 6 or len(values) % 2:
        raise UnusableError(
            f"{UNREADABLE}: {where}: expected a class and {expected} numbers"
            f"{'' if keypoints else ', or an outline of three or more x, y'}; got {len(values)}"
        )
    return labelled(category, rings=[values])


def _box(values: list[float], where: str) -> list[float]:
    x, y, width, height = values[:4]
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return corners(box, where)


def _points(values: list[float], keypoints: Keypoints) -> list[float]:
    """Return x, y, visible ...; where the file has no third number, 0, 0 and below is no label."""
    if keypoints[1] == 3:
        return values
    pairs = zip(values[0::2], values[1::2], strict=True)
    return [
        each
        for x, y in pairs
        for each in ((0.0, 0.0, 0.0) if min(x, y) < 0 or x == y == 0 else (x, y, _SEEN))
    ]
