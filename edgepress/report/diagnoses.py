"""Diagnoses: curves, confusions and figures of every class, of the float network and each export.

Nothing here knows a task: what is drawn are the names and numbers that the records hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.records import diagnosis as told
from edgepress.records.diagnosis import Diagnosis
from edgepress.report import words
from edgepress.report.axes import ticks
from edgepress.report.lines import Axis, Chart, Dot, Frame, Line
from edgepress.report.per_class import Table, table
from edgepress.report.run import Run, TargetRun

_MARK = 4.5
_LEAST, _MOST = 2.0, 9.0
"""Radius of the point of a bin that has nothing, and of one that has all."""


@dataclass(frozen=True)
class Cell:
    """One count of a confusion: its share of the row, and whether it is right."""

    text: str
    share: float
    right: bool

    @property
    def shade(self) -> float:
        """Strength of its colour, 0 to 1: a root, so that rare mistakes are seen too."""
        return math.sqrt(self.share)


@dataclass(frozen=True)
class Matrix:
    """A confusion ready to be written; without rows where the classes are too many."""

    unit: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    pairs: tuple[str, ...]
    """The most confused, in words."""


@dataclass(frozen=True)
class Drawn:
    """One network's answers: charts, and what it takes for what."""

    charts: tuple[Chart, ...]
    matrix: Matrix | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Whole:
    """One score of all items together, written out."""

    name: str
    value: str
    between: str
    drop: str
    drop_between: str


@dataclass(frozen=True)
class Judged:
    """One measured target: its scores, its classes, and its own diagnosis if that differs."""

    run: TargetRun
    scores: tuple[Whole, ...]
    classes: Table | None
    drawn: Drawn | None


def float_network(run: Run) -> Drawn | None:
    """Return the float network's diagnosis, as the baseline's targets were held against it."""
    held = [target for target in run.targets if target.diagnosed is not None]
    held.sort(key=lambda target: target.key != target.baseline)
    first = held[0].diagnosed if held else None
    return None if first is None else drawn(first.floats)


def judged(run: Run) -> list[Judged]:
    """Return every target that answered."""
    return [
        Judged(target, tuple(_scores(target)), table(target), _own(target))
        for target in run.targets
        if target.measurement is not None and target.measurement.scores
    ]


def drawn(found: Diagnosis) -> Drawn | None:
    """Lay a diagnosis out; None where it tells nothing that could be drawn."""
    charts = tuple(_chart(chart) for chart in found.charts if chart.curves)
    if not (charts or found.confusion or found.notes):
        return None
    return Drawn(charts, None if found.confusion is None else _matrix(found.confusion), found.notes)


def _own(target: TargetRun) -> Drawn | None:
    found = target.diagnosed
    return None if found is None or found.ours == found.floats else drawn(found.ours)


def _scores(target: TargetRun) -> list[Whole]:
    found = [] if target.measurement is None else list(target.measurement.scores)
    rows = []
    for score in found:
        if score.of is None:
            between = words.between_percent if score.unit == "share" else words.between
            drop = "" if score.drop is None else words.points(score.drop.value)
            value = words.score(score.value.value, score.unit)
            around = words.between_points(score.drop)
            rows.append(Whole(score.name, value, between(score.value), drop, around))
    return rows + figures(target)


def _chart(chart: told.Chart) -> Chart:
    across = [100 * each for each in ticks(0.0, chart.x_high)]
    frame = Frame(
        Axis(f"{chart.x_title}, %", across),
        Axis(f"{chart.y_title}, %", [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
    )
    lines = [_line(curve, slot, frame, chart) for slot, curve in enumerate(chart.curves)]
    said = ", ".join(f"{line.name} {line.last}".strip() for line in lines)
    laid = frame.chart(chart.title, f"{chart.title}: {said}", lines)
    return laid.noted(chart.note, chart.diagonal)


def _line(curve: told.Curve, slot: int, frame: Frame, chart: told.Chart) -> Line:
    points = tuple(frame.at((100 * x, 100 * y)) for x, y in zip(curve.x, curve.y, strict=True))
    dots = []
    for point, weight in zip(points, curve.weights or (), strict=False):
        dots.append(Dot(*point, round(_LEAST + (_MOST - _LEAST) * math.sqrt(weight), 1)))
    if curve.mark is not None:
        dots.append(Dot(*frame.at((100 * curve.mark[0], 100 * curve.mark[1])), _MARK, hollow=True))
    named = f"{words.name(chart.value_title)} " if chart.value_title else ""
    last = "" if curve.value is None else f"{named}{words.percent(curve.value)}"
    return Line(curve.name, slot, points, last, tuple(dots))


def _matrix(found: told.Confusion) -> Matrix:
    rows = []
    for truth, counts in zip(found.truths, found.counts, strict=True):
        total = sum(counts)
        cells = [
            Cell(_short(count), count / total if total else 0.0, truth == answer)
            for answer, count in zip(found.answers, counts, strict=True)
        ]
        rows.append((truth, tuple(cells)))
    pairs = tuple(confused(found.pairs, found.unit))
    return Matrix(found.unit, found.answers, tuple(rows), pairs)


def _short(count: int) -> str:
    """Write a count in few signs, nothing for none."""
    if count < 10_000:
        return words.count(count) if count else ""
    return f"{count / 1000:.0f} k" if count < 1_000_000 else f"{count / 1e6:.1f} M"


def figures(target: TargetRun) -> list[Whole]:
    """Return the figures of a target that are no scores, with what they lost."""
    if target.diagnosed is None:
        return []
    before = {each.name: each.value for each in target.diagnosed.floats.figures}
    return [
        Whole(
            name=each.name,
            value=words.percent(each.value),
            between="",
            drop=words.points(each.value - before.get(each.name, each.value)),
            drop_between="",
        )
        for each in target.diagnosed.ours.figures
    ]


def confused(pairs: Sequence[told.Pair], unit: str) -> list[str]:
    """Write pairs in words, the most frequent first."""
    found = []
    for pair in pairs:
        many = words.count(pair.count)
        if pair.of:
            many += f" of {words.count(pair.of)} {unit} ({words.percent(pair.count / pair.of)})"
        found.append(f"{pair.truth} answered as {pair.answer}: {many}")
    return found
