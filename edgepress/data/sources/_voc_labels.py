"""Label files of Pascal VOC: XML, parsed without declarations, entities, depth or size of its own.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf. A box names the first and
the last pixel that belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from edgepress.data.picture import UnusableError
from edgepress.data.sources._objects import UNKNOWN_CLASS, UNREADABLE, corners, labelled, side

_LARGEST = 2**23
_DEEPEST = 32
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def voc_label(path: Path, index: Mapping[str, int], first: int) -> dict[str, Any]:
    """Return the label of a file; pixels are counted from `first`.

    What cannot be read, and a name that is not in `index`, is `UnusableError`.
    """
    root = _parsed(path)
    return {
        "width": _size(root, "width"),
        "height": _size(root, "height"),
        "relative": False,
        "objects": [
            _object(each, index, first, f"{path.name}: object {number}")
            for number, each in enumerate(root.findall("object"), 1)
        ],
    }


def names_in(path: Path) -> set[str]:
    """Return the names that objects of a file have; none where it cannot be read."""
    try:
        return {_text(each, "name") for each in _parsed(path).findall("object")} - {""}
    except UnusableError:
        return set()


class _Bounded(ElementTree.TreeBuilder):
    """Refuses declarations of a type, which may name other files or grow without end, and depth."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: Any, attrs: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnusableError(f"is nested more than {_DEEPEST} deep")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> Any:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise UnusableError("declares a document type; delete that line")


def _parsed(path: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Bounded())  # noqa: S314
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UnusableError(f"is over {_LARGEST:,} bytes")
        parser.feed(data)
        root: ElementTree.Element = parser.close()
    except UnusableError as error:
        raise UnusableError(f"{UNREADABLE}: {path.name}: {error}") from None
    except OSError as error:
        raise UnusableError(f"{UNREADABLE}: {path.name}: {error.strerror}") from None
    except ElementTree.ParseError as error:  # names line and column itself
        raise UnusableError(f"{UNREADABLE}: {path.name}: no XML: {error}") from None
    except (LookupError, ValueError) as error:
        raise UnusableError(f"{UNREADABLE}: {path.name}: its encoding: {error}") from None
    if root.tag != "annotation":
        raise UnusableError(f"{UNREADABLE}: {path.name}: expected annotation, is {root.tag:.40}")
    return root


def _object(
    found: ElementTree.Element, index: Mapping[str, int], first: int, where: str
) -> dict[str, Any]:
    name = _text(found, "name")
    if name not in index:
        raise UnusableError(f"{UNKNOWN_CLASS}: {where}: {name[:60]!r} is none of the classes")
    box = found.find("bndbox")
    if box is None:
        raise UnusableError(f"{UNREADABLE}: {where}: has no bndbox")
    left, top, right, bottom = (_number(box, each, where) for each in _SIDES)
    return labelled(
        index[name],
        box=corners([left - first, top - first, right, bottom], where),
        ignore=_text(found, "difficult") not in ("", "0"),
    )


def _number(found: ElementTree.Element, name: str, where: str) -> float:
    text = _text(found, name)
    try:
        return float(text)
    except ValueError:
        raise UnusableError(
            f"{UNREADABLE}: {where}: {name}: expected a number, got {text[:40]!r}"
        ) from None


def _size(root: ElementTree.Element, name: str) -> int | None:
    try:
        return side(float(root.findtext(f"size/{name}", "")))
    except ValueError:
        return None


def _text(found: ElementTree.Element, name: str) -> str:
    return (found.findtext(name) or "").strip()
