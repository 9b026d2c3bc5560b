"""Cells: from what a row of a table says of an image to its classes.

One class in a cell, several with a separator between, a JSON list, or 0 and 1 in a column for each
class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from edgepress.errors import UserError, nearest

_YES = {"1", "1.0", "true"}
_NO = {"0", "0.0", "false"}


class CellError(UserError):
    """Raised for a row that does not say an image's classes; its text is the reason."""


@dataclass(frozen=True)
class Cells:
    """How the classes of an image are written in a row."""

    label: str | None
    """The column that names them; None where each class has a column."""
    several: bool
    separator: str | None
    empty_is_none: bool
    classes: tuple[str, ...]
    """In order; empty while they are not known yet."""
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Number the classes."""
        index = {name: place for place, name in enumerate(self.classes)}
        object.__setattr__(self, "_index", index)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return self.classes if self.label is None else (self.label,)

    def named(self, row: Mapping[str, Any]) -> list[str]:
        """Return the names in a row; `CellError` where it says none, or says it wrongly."""
        if self.label is None:
            found = [name for name in self.classes if _yes(row.get(name), name)]
        else:
            found = self._in_cell(row.get(self.label), self.label)
        if not self.several and len(found) != 1:
            raise CellError(f"{len(found)} columns hold 1, an image has one class")
        for name in found:
            if len(found) > 1 and found.count(name) > 1:
                raise CellError(f"names {name!r} twice")
        return found

    def label_of(self, row: Mapping[str, Any]) -> int | list[int]:
        """Return the index of a row's class, or of its several; `CellError` for one unknown."""
        found = []
        for name in self.named(row):
            if (index := self._index.get(name)) is None:
                hint = _near(name, self.classes)
                raise CellError(f"{name!r} is none of the {len(self.classes)} classes{hint}")
            found.append(index)
        return sorted(found) if self.several else found[0]

    def _in_cell(self, cell: Any, column: str) -> list[str]:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            if self.empty_is_none:
                return []
            raise CellError(f"column {column!r} is empty")
        if not self.several:
            return [_name(cell, column)]
        if self.separator is None:
            cell = _listed(cell, column)
        elif isinstance(cell, str):
            cell = [part for part in cell.split(self.separator) if part.strip()]
        else:
            cell = [cell]
        return [_name(part, column) for part in cell]


def in_order(names: set[str]) -> tuple[str, ...]:
    """Return names sorted, as numbers where all are."""
    numbers = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, name)))


@lru_cache(maxsize=256)
def _near(name: str, classes: tuple[str, ...]) -> str:
    return nearest(name, list(classes))


def _name(value: Any, column: str) -> str:
    """Return a class's name: text, or a whole number."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CellError(f"column {column!r} holds {value!r}, expected the name of a class")


def _listed(cell: Any, column: str) -> list[Any]:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise CellError(
                f"column {column!r} holds {cell[:40]!r}, expected a JSON list of names"
            ) from None
    if not isinstance(cell, list):
        raise CellError(f"column {column!r} holds {cell!r}, expected a JSON list of names")
    return cell


def _yes(value: Any, column: str) -> bool:
    said = str(value).strip().lower()
    if said in _YES:
        return True
    if said in _NO:
        return False
    if value is None or not said:
        raise CellError(f"column {column!r} is empty, expected 0 or 1")
    raise CellError(f"column {column!r} holds {value!r}, expected 0 or 1")
