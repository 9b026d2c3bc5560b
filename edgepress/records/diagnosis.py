"""Diagnosis: where answers are right and wrong, as named curves, counts and confusions.

A task fills in what it can tell; whoever shows it needs to know no task.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from edgepress.records.measurement import Score
from edgepress.records.record import Record

MOST_IN_A_MATRIX = 20
"""Classes up to which a confusion is told whole; of more only the most confused pairs are."""


class Part(BaseModel):
    """What all parts share."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Curve(Part):
    """A line of shares, 0 to 1, over rising x."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    value: float | None = None
    """What the curve comes to, a share: an average precision, for example."""
    mark: tuple[float, float] | None = None
    """Where the answers stand as they are given, at the task's own threshold."""
    weights: tuple[float, ...] | None = None
    """Share of the evidence that each point rests on; None where points are no bins."""

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.x) != len(self.y) or len(self.weights or self.x) != len(self.x):
            raise ValueError("a curve has as many x as y, and as weights")
        return self


class Chart(Part):
    """Curves that share their axes."""

    title: str
    x_title: str
    y_title: str
    value_title: str = ""
    """Name of the curves' values, as scores are named."""
    curves: tuple[Curve, ...]
    x_high: float = 1.0
    """Right end of the axis, whose left end is 0."""
    diagonal: bool = False
    """The best that can be is y = x."""
    note: str = ""


class Pair(Part):
    """How often one class was answered where another was true."""

    truth: str
    answer: str
    count: int
    of: int
    """How often the truth occurs; 0 where it is no class and cannot be counted."""


class Confusion(Part):
    """What was answered for each class of the truth."""

    unit: str
    """What is counted: images, pixels, boxes."""
    truths: tuple[str, ...]
    answers: tuple[str, ...]
    """Names of the rows and columns."""
    counts: tuple[tuple[int, ...], ...]
    """A row per truth; empty where there are more than `MOST_IN_A_MATRIX` classes."""
    pairs: tuple[Pair, ...]
    """The most confused, most frequent first."""


class Column(Part):
    """One figure of every class; one of a score's name has that score's interval."""

    name: str
    unit: Literal["share", "count"]
    better: Literal["higher", "lower"] = "higher"


class ClassRow(Part):
    """The figures of one class."""

    name: str
    items: int
    """How many of it the test split holds."""
    values: tuple[float | None, ...]
    """One for each column; None where nothing can be said."""


class PerClass(Part):
    """Figures of every class that the test split holds, or that was answered."""

    unit: str
    """What items are: images, objects, points."""
    columns: tuple[Column, ...]
    rows: tuple[ClassRow, ...]


class Figure(Part):
    """A figure of the whole that no gate judges, a share and the better the lower."""

    name: str
    value: float


class Slice(Part):
    """The first score on a part of the test split."""

    by: str
    """What it is a part by: class, size or group."""
    name: str
    items: int
    score: Score
    worse: bool
    """Surely worse than all items together."""


class Diagnosis(Part):
    """All that a task tells of one network's answers to the test split; empty tells nothing."""

    charts: tuple[Chart, ...] = ()
    confusion: Confusion | None = None
    per_class: PerClass | None = None
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    """What it cannot tell, and why, a sentence each."""


class Diagnosed(Record):
    """The diagnosis of an export's answers, and of the float network's that it is held against."""

    file_name: ClassVar[str] = "diagnosis.json"

    ours: Diagnosis
    floats: Diagnosis
