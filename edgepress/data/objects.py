"""Objects: the label that sources of boxes, polygons and points give, and its check at the door.

One type for all of them, so that one source serves every task about objects; a task keeps what it
needs. Coordinates are pixels with the origin at the picture's upper left corner, x before y, so
that a pixel in column 3 spans 3 to 4. Tools draw on the picture as it is shown: upright. Where a
label says a size that is the file's before it was turned, it was drawn on that, and is turned too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from edgepress.data.labels import Seen
from edgepress.data.picture import UnusableError

Points = npt.NDArray[np.float64]

OBJECT = pa.struct(
    [
        ("category", pa.int32()),  # index into the classes
        ("box", pa.list_(pa.float64())),  # left, top, right, bottom; null where only drawn
        ("rings", pa.list_(pa.list_(pa.float64()))),  # outlines x, y, x, y ...; null for none
        ("points", pa.list_(pa.float64())),  # x, y, visible (0 no label, 1 hidden, 2 seen) ...
        ("area", pa.float64()),  # of the object itself; null takes the box's
        ("crowd", pa.bool_()),  # many objects in one outline, not told apart
        ("ignore", pa.bool_()),  # there, but not to be judged: too hard, cut off
    ]
)
OBJECTS = pa.struct(
    [
        ("width", pa.int32()),  # of the picture it was drawn on; null where the source says none
        ("height", pa.int32()),
        ("relative", pa.bool_()),  # coordinates are shares of width and height
        ("objects", pa.list_(OBJECT)),
    ]
)

TOLERANCE = 1.5
"""Pixels a box may reach out of the picture: tools round, and count pixels from one."""


@dataclass(frozen=True)
class Found:
    """One object of an upright picture, in its pixels."""

    category: int
    box: tuple[float, float, float, float]
    """Left, top, right, bottom, inside the picture."""
    rings: tuple[Points, ...]
    """Outlines [K, 2]."""
    points: Points
    """[K, 3]: x, y, and 0 for no label, 1 for hidden, 2 for seen."""
    area: float
    crowd: bool
    ignore: bool


def admitted(label: Mapping[str, Any], seen: Seen, classes: int) -> list[Found]:
    """Return the label's objects for the upright picture; `UnusableError` names the first fault."""
    frame = _Frame.of(label, seen)
    return [
        _object(number, each, frame, classes) for number, each in enumerate(label["objects"], 1)
    ]


@dataclass(frozen=True)
class _Frame:
    """The picture a label was drawn on and how it was turned since."""

    seen: Seen
    scale: tuple[float, float]
    orientation: int

    @classmethod
    def of(cls, label: Mapping[str, Any], seen: Seen) -> _Frame:
        size = (label["width"], label["height"])
        upright = (seen.width, seen.height)
        orientation = 1
        if None not in size and size != upright:
            if size != upright[::-1] or seen.orientation < 5:  # those from 5 on swap the sides
                raise UnusableError(
                    f"label: is for a picture of {size[0]} x {size[1]}, this one is "
                    f"{upright[0]} x {upright[1]}"
                )
            orientation = seen.orientation
        drawn = upright if orientation == 1 else upright[::-1]
        return cls(seen, drawn if label["relative"] else (1.0, 1.0), orientation)

    def moved(self, points: Points) -> Points:
        """Move points [K, 2] from where they were drawn onto the upright picture."""
        x, y = (points * self.scale).T
        width, height = self.seen.width, self.seen.height
        turned = {
            1: (x, y),
            5: (y, x),
            6: (width - y, x),
            7: (width - y, height - x),
            8: (y, height - x),
        }[self.orientation]
        return np.stack(turned, axis=1)


def _object(number: int, label: Mapping[str, Any], frame: _Frame, classes: int) -> Found:
    where = f"label: object {number}"
    category = label["category"]
    if category is None or not 0 <= category < classes:
        raise UnusableError(
            f"{where}: class {category} is none of the {classes}, which are numbered from 0"
        )
    rings = tuple(frame.moved(_pairs(ring, f"{where}: outline")) for ring in label["rings"] or ())
    points = _labelled(label["points"], frame, where)
    corners = _corners(label["box"], rings, points, where)
    if label["box"] is not None:
        corners = frame.moved(corners)
    box = _inside(corners, frame.seen, where)
    area = label["area"]
    if area is None:
        area = (box[2] - box[0]) * (box[3] - box[1])
    else:
        area = area * frame.scale[0] * frame.scale[1]
    crowd, ignore = bool(label["crowd"]), bool(label["ignore"])
    return Found(category, box, rings, points, float(area), crowd, ignore)


def _pairs(numbers: Any, where: str) -> Points:
    found = np.asarray(numbers, np.float64)
    if found.ndim != 1 or len(found) % 2 or len(found) < 6 or not np.isfinite(found).all():
        raise UnusableError(f"{where}: expected three or more finite x, y, got {len(found)} values")
    return found.reshape(-1, 2)


def _labelled(numbers: Any, frame: _Frame, where: str) -> Points:
    found = np.asarray(numbers or (), np.float64)
    if len(found) % 3 or not np.isfinite(found).all():
        raise UnusableError(f"{where}: points: expected finite x, y, visible; got {len(found)}")
    points = found.reshape(-1, 3)
    if len(points) and not np.isin(points[:, 2], (0, 1, 2)).all():
        raise UnusableError(f"{where}: points: visible is 0, 1 or 2")
    moved = np.concatenate([frame.moved(points[:, :2]), points[:, 2:]], axis=1)
    there = moved[moved[:, 2] > 0, :2]
    limits = (frame.seen.width, frame.seen.height)
    if len(there) and ((there < -TOLERANCE) | (there > np.add(limits, TOLERANCE))).any():
        raise UnusableError(f"{where}: a point lies outside the picture of {_size(frame.seen)}")
    return moved


def _corners(box: Any, rings: tuple[Points, ...], points: Points, where: str) -> Points:
    """Return two corners [2, 2]: the label's own, or those of what it draws."""
    if box is not None:
        found = np.asarray(box, np.float64)
        if found.shape != (4,) or not np.isfinite(found).all():
            raise UnusableError(f"{where}: box: expected four finite numbers, got {list(box)}")
        return found.reshape(2, 2)
    drawn = [*rings, points[points[:, 2] > 0, :2]]
    every = np.concatenate(drawn)
    if not len(every):
        raise UnusableError(f"{where}: has neither a box nor an outline nor a point")
    return np.stack([every.min(axis=0), every.max(axis=0)])


def _inside(corners: Points, seen: Seen, where: str) -> tuple[float, float, float, float]:
    """Return the box of two corners, cut at the picture's border where it reaches out a little."""
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    said = f"{left:.6g}, {top:.6g} to {right:.6g}, {bottom:.6g}"
    out = max(-left, -top, right - seen.width, bottom - seen.height)
    if out > TOLERANCE:
        raise UnusableError(f"{where}: box {said} lies outside the picture of {_size(seen)}")
    left, right = np.clip([left, right], 0, seen.width)
    top, bottom = np.clip([top, bottom], 0, seen.height)
    if right <= left or bottom <= top:
        raise UnusableError(f"{where}: box {said} has no area")
    return float(left), float(top), float(right), float(bottom)


def _size(seen: Seen) -> str:
    return f"{seen.width} x {seen.height}"
