"""One COCO file as an index: its pictures and classes, and where each object's bytes are.

What is held does not grow with outlines: an object costs 20 bytes, and is read when it is its
picture's turn.
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.data.json_arrays import Element, elements
from edgepress.data.sources._objects import side
from edgepress.data.walk import decodable
from edgepress.errors import UserError
from edgepress.records.manifest import Split


@dataclass(slots=True)
class Listed:
    """One picture as a COCO file lists it."""

    number: int
    """Of its id, counted as ids came."""
    name: str
    width: int | None
    height: int | None


class CocoFile:
    """Pictures in the file's order, class names by id, and the objects of each picture."""

    def __init__(self, path: Path, split: Split | None) -> None:
        """Read through the file once; one that is no COCO file is a UserError."""
        self.path, self.split = path, split
        self.images: list[Listed] = []
        self.categories: dict[Any, str] = {}
        self.used: set[Any] = set()
        """Ids of categories, known or not, that objects have."""
        self.nameless = 0
        """Pictures without an id or a file name."""
        self._numbers: dict[Any, int] = {}
        columns = (array("q"), array("q"), array("i"))
        self._scan(columns)
        owner, starts, lengths = (np.frombuffer(column, column.typecode) for column in columns)
        order = np.argsort(owner, kind="stable")
        self._starts, self._lengths = starts[order], lengths[order]
        ends = np.searchsorted(owner[order], np.arange(len(self._numbers) + 1))
        self._ends: list[int] = ends.tolist()
        self._times = Counter(image.number for image in self.images)
        del self._numbers

    @property
    def strays(self) -> int:
        """Number of objects whose picture is not listed."""
        ours = sum(self.objects(number) for number in self._times)
        return len(self._starts) - ours

    def repeated(self, image: Listed) -> bool:
        """Tell a picture whose id another has too."""
        return self._times[image.number] > 1

    def objects(self, number: int) -> int:
        """Return how many objects the picture of a number has."""
        return self._ends[number + 1] - self._ends[number]

    def annotations(self) -> Iterator[tuple[Listed, list[Any]]]:
        """Yield each picture with its objects, as the file has them."""
        with self.path.open("rb") as file:
            for image in self.images:
                rows = range(self._ends[image.number], self._ends[image.number + 1])
                yield image, [self._read(file.fileno(), row) for row in rows]

    def _read(self, file: int, row: int) -> Any:
        data = os.pread(file, int(self._lengths[row]), int(self._starts[row]))
        try:
            return json.loads(data.decode("latin-1"))  # numbers and run lengths are ASCII
        except (ValueError, RecursionError):
            raise UserError(f"{self.path}: changed while it was read; run again") from None

    def _exact(self, file: int, element: Element) -> Any:
        """Return an element with its text as UTF-8; bytes that are not become lone surrogates."""
        data = os.pread(file, element.length, element.start)
        try:
            return json.loads(data.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            raise UserError(f"{self.path}: changed while it was read; run again") from None

    def _scan(self, columns: tuple[Any, Any, Any]) -> None:
        keys = set()
        with _opened(self.path) as file:
            for element in elements(self.path):
                keys.add(element.key)
                if element.key == "annotations":
                    self._keep(element, columns)
                elif element.key in ("images", "categories"):
                    value = self._exact(file.fileno(), element)
                    (self._image if element.key == "images" else self._category)(value)
        missing = [key for key, found in (("images", self.images), ("categories", self.categories))
                   if not found]  # fmt: skip
        if missing or "annotations" not in keys:
            raise UserError(
                f"{self.path}: has no {(*missing, 'annotations')[0]}; expected a COCO file of "
                "images, annotations and categories; name it in ingest.source.annotations"
            )

    def _keep(self, element: Element, columns: tuple[Any, Any, Any]) -> None:
        value = element.value if isinstance(element.value, dict) else {}
        row = (self._number(value.get("image_id")), element.start, element.length)
        for column, each in zip(columns, row, strict=True):
            column.append(each)
        category = value.get("category_id")
        if _is_id(category):
            self.used.add(category)

    def _image(self, value: Any) -> None:
        name = value.get("file_name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name or not _is_id(value.get("id")):
            self.nameless += 1
            return
        size = (side(value.get("width")), side(value.get("height")))
        self.images.append(Listed(self._number(value["id"]), name, *size))

    def _category(self, value: Any) -> None:
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name or not decodable(name):
            raise UserError(
                f"{self.path}: categories: expected a name and an id for each, got "
                f"{str(value)[:80]}; mend that entry"
            )
        identity = value.get("id")
        if not _is_id(identity) or self.categories.setdefault(identity, name) != name:
            raise UserError(
                f"{self.path}: categories: {name[:60]!r} has the id {identity!r:.60}, which is "
                "no id or another's; give it one of its own"
            )

    def _number(self, identity: Any) -> int:
        key = identity if _is_id(identity) else None
        return self._numbers.setdefault(key, len(self._numbers))


def _is_id(value: Any) -> bool:
    return type(value) in (int, float, str)


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; name another file") from None
