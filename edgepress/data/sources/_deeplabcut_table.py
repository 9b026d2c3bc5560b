"""One CollectedData_*.csv of DeepLabCut: three rows of header, then a row for each frame."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Self

from edgepress.errors import UserError, nearest

_HEADER = ("scorer", "bodyparts", "coords")
_INDIVIDUALS = "individuals"
_EMPTY = ("", "nan")
"""What stands for a body part without a label."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One labelled frame; `problem` is set where its row cannot be used."""

    path: Path
    points: tuple[tuple[float, float] | None, ...]
    """x, y as the table has them, None where there is no label."""
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """The frames of one table, in its order."""

    path: Path
    frames: tuple[Frame, ...]

    @classmethod
    def read(cls, path: Path, points: tuple[str, ...]) -> Self:
        """Read the named body parts; a file that is no such table is a one-line UserError."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = [row for row in csv.reader(file) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read as CSV: {error}") from None
        columns = _columns(path, rows[: len(_HEADER)], points)
        first = min(pair[0] for pair in columns.values()) if columns else 1
        leading = _leading(rows[0], first)
        shape = (leading, len(rows[0]))
        numbered = enumerate(rows[len(_HEADER) :], len(_HEADER) + 1)
        frames = [_frame(path, row, shape, columns) for row in numbered]
        if not frames:
            raise UserError(f"{path}: labels no frame; label some or move the file away")
        (twice, times), *_ = Counter(frame.path.name for frame in frames).most_common(1)
        if times > 1:
            raise UserError(f"{path}: has {twice} in {times} rows; keep one")
        return cls(path, tuple(frames))


def _columns(
    path: Path, header: list[list[str]], points: tuple[str, ...]
) -> dict[str, tuple[int, int]]:
    """Return the columns of x and y of each wanted body part."""
    heads = tuple(row[0].strip() for row in header)
    if _INDIVIDUALS in heads:
        raise UserError(
            f"{path}: row {heads.index(_INDIVIDUALS) + 1} names individuals: several animals a "
            "frame are not read yet; label one animal in a project of its own"
        )
    if heads != _HEADER:
        raise UserError(
            f"{path}: its first rows begin with {', '.join(heads) or 'nothing'}; expected "
            f"{', '.join(_HEADER)}"
        )
    if len({len(row) for row in header}) > 1:
        raise UserError(f"{path}: its three rows of header are not of one length")
    parts, coords = header[1], header[2]
    found: dict[tuple[str, str], int] = {}
    for index, pair in enumerate(zip(parts, coords, strict=True)):
        if found.setdefault(pair, index) != index and pair[1]:
            raise UserError(f"{path}: has {pair[1]} of {pair[0]} in two columns")
    known = list(dict.fromkeys(part for part, coord in found if coord == "x"))
    for name in points:
        if (name, "x") not in found or (name, "y") not in found:
            raise UserError(
                f"ingest.source.points: {name!r} is no body part of {path}; there are "
                f"{', '.join(known) or 'none'}{nearest(name, known)}"
            )
    return {name: (found[name, "x"], found[name, "y"]) for name in points}


def _leading(scorers: list[str], first: int) -> int:
    """Return how many columns name the frame: one with its path, or three with its parts."""
    return next((i for i, cell in enumerate(scorers) if i and cell.strip()), first)


def _frame(
    table: Path,
    row: tuple[int, list[str]],
    shape: tuple[int, int],
    columns: dict[str, tuple[int, int]],
) -> Frame:
    """Return a row's frame; the file is looked for beside its table, where the tools put it."""
    (number, cells), (leading, width) = row, shape
    name = PureWindowsPath(cells[min(leading, len(cells)) - 1].strip()).name
    if not name:
        raise UserError(f"{table}: row {number} names no frame")
    path, where = table.parent / name, f"no label: row {number} of {table.name}"
    if len(cells) != width:
        problem = f"{where} has {len(cells)} columns, the header {width}"
        return Frame(path, (), problem)
    points: list[tuple[float, float] | None] = []
    for part, pair in columns.items():
        texts = [cells[column].strip() for column in pair]
        if all(text.lower() in _EMPTY for text in texts):
            points.append(None)
            continue
        numbers = [_number(text) for text in texts]
        if not all(map(math.isfinite, numbers)):
            return Frame(path, (), f"{where}: {part} is {', '.join(texts)}; expected two numbers")
        points.append((numbers[0], numbers[1]))
    if not any(points):
        return Frame(path, (), f"{where} labels none of {', '.join(columns)}")
    return Frame(path, tuple(points))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
