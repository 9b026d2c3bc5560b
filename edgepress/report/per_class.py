"""The figures of every class of one target, with their intervals and the float network's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgepress.records.diagnosis import ClassRow, Column, PerClass
from edgepress.records.measurement import Measurement, Score
from edgepress.report import words
from edgepress.report.run import TargetRun

ROWS = 40
"""Classes the page shows; of more those with the lowest first figure."""


@dataclass(frozen=True)
class Cell:
    """One figure, written out."""

    text: str
    value: float | None
    between: str
    """Ends of its interval, empty where it has none."""
    floats: str
    """The float network's, empty where it is the same or not known."""


@dataclass(frozen=True)
class Row:
    """One class."""

    name: str
    items: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Some or all classes; `unit` says what their items are."""

    unit: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    total: int
    """Classes there are, shown or not."""


def table(target: TargetRun, most: int = ROWS) -> Table | None:
    """Return the classes of a target, the worst of too many; None where nothing is known of any.

    What the task tells of classes comes first; without it the scores of single classes stand alone.
    """
    if target.measurement is None:
        return None
    ours, floats = _told(target)
    if not ours.rows:
        return None
    intervals: dict[tuple[str, str | None], Score] = {
        (score.name, score.of): score for score in target.measurement.scores if score.of is not None
    }
    before = {row.name: row.values for row in floats.rows}
    rows = [_row(row, ours.columns, before.get(row.name), intervals) for row in ours.rows]
    shown = rows if len(rows) <= most else sorted(rows, key=_worst)[:most]
    names = tuple(words.heading(column.name) for column in ours.columns)
    return Table(ours.unit, names, tuple(shown), len(rows))


def _told(target: TargetRun) -> tuple[PerClass, PerClass]:
    """Return the figures of an export's classes and of the float network's."""
    nothing = PerClass(unit="items", columns=(), rows=())
    found = target.diagnosed
    if found is not None and found.ours.per_class is not None:
        return found.ours.per_class, found.floats.per_class or nothing
    return nothing if target.measurement is None else _of_scores(target.measurement), nothing


def _of_scores(measurement: Measurement) -> PerClass:
    """Return the scores of single classes as figures."""
    scores = [score for score in measurement.scores if score.of and score.unit == "share"]
    names = list(dict.fromkeys(score.name for score in scores))
    classes: dict[str, dict[str, Score]] = {}
    for score in scores:
        classes.setdefault(str(score.of), {})[score.name] = score
    rows = []
    for name, found in classes.items():
        values = tuple(found[each].value.value if each in found else None for each in names)
        items = max(score.items for score in found.values())
        rows.append(ClassRow(name=name, items=items, values=values))
    columns = tuple(Column(name=name, unit="share") for name in names)
    return PerClass(unit="items", columns=columns, rows=tuple(rows))


def _row(
    row: ClassRow,
    columns: tuple[Column, ...],
    before: tuple[float | None, ...] | None,
    intervals: Mapping[tuple[str, str | None], Score],
) -> Row:
    cells = []
    for place, column in enumerate(columns):
        text = _text(row.values[place], column)
        theirs = text if before is None else _text(before[place], column)
        score = intervals.get((column.name, row.name))
        between = "" if score is None else words.between_percent(score.value)
        floats = "" if theirs == text else theirs
        cells.append(Cell(text, row.values[place], between, floats))
    return Row(row.name, row.items, tuple(cells))


def _text(value: float | None, column: Column) -> str:
    return words.percent(value) if column.unit == "share" else words.count(value)


def _worst(row: Row) -> tuple[float, str]:
    value = row.cells[0].value if row.cells else None
    return (2.0 if value is None else value, row.name)
