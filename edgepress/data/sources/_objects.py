"""Objects as the sources write them: one label of type OBJECTS, numbers that are numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgepress.data.picture import UnusableError

NO_IMAGE = "no image"
UNKNOWN_CLASS = "unknown class"
UNREADABLE = "unreadable label"
REPEATED = "repeated image"
"""Kinds of problems that these sources see; what follows a colon is said to the user alone."""
WITHOUT_PICTURE = "label without a picture"
EMPTY = "picture without a label, kept as one without objects"
UNUSED = "class without an object"
"""Kinds of notes."""

_NOTHING: dict[str, Any] = {
    "category": None,
    "box": None,
    "rings": None,
    "points": None,
    "area": None,
    "crowd": False,
    "ignore": False,
}


def labelled(category: int, **parts: Any) -> dict[str, Any]:
    """Return one object of a label; `parts` are columns of OBJECT."""
    return {**_NOTHING, "category": category, **parts}


def numbers(values: Any, where: str) -> list[float]:
    """Return a list of numbers as floats; anything else is `UnusableError`."""
    if not isinstance(values, list) or not all(type(each) in (int, float) for each in values):
        raise UnusableError(f"{UNREADABLE}: {where}: expected numbers, got {str(values)[:60]}")
    try:
        return [float(each) for each in values]
    except OverflowError:
        raise UnusableError(f"{UNREADABLE}: {where}: holds a number beyond all size") from None


def corners(box: list[float], where: str) -> list[float]:
    """Return left, top, right, bottom where they are in that order; else `UnusableError`."""
    left, top, right, bottom = box
    if right < left or bottom < top:
        raise UnusableError(
            f"{UNREADABLE}: {where}: the box ends before it begins: {left:g}, {top:g} to "
            f"{right:g}, {bottom:g}"
        )
    return box


def side(value: Any) -> int | None:
    """Return the pixels of a picture's side; None where the source says none that can be."""
    if type(value) in (int, float) and 0 < value < 2**31 and value == int(value):
        return int(value)
    return None


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in the order in which they first come."""
    return tuple(dict.fromkeys(names))
