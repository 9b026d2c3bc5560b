"""Comparison: two finished runs, model by model, on the same test items, with paired intervals.

What a run gains over another is the drop of tasks' scores the other way round, with its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from edgepress.errors import UserError
from edgepress.params import leaves
from edgepress.recipes import written_out
from edgepress.records.measurement import Interval, Score
from edgepress.records.predictions import OpenPredictions
from edgepress.records.tensors import Arrays, Groups
from edgepress.tasks.task import Task

_ABSENT = "not there"


@dataclass(frozen=True)
class Finished:
    """A finished run: what it was asked and what it answered."""

    name: str
    params: Mapping[str, Any]
    task: Task
    truth: OpenPredictions
    """Ids of the test items, and their truth in the answers' place."""
    groups: Groups
    predictions: Mapping[str, OpenPredictions]
    """Model or target -> its answers."""


class Row(BaseModel):
    """One score of one model or target in both runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: str
    score: str
    unit: str
    first: Interval
    second: Interval
    gain: Interval | None
    """How much better the second is on the same items, paired; negative is worse. None where the
    task pairs no such score, or the truths differ."""

    @property
    def verdict(self) -> str:
        """What the interval tells."""
        if self.gain is None:
            return "not paired"
        if self.gain.low > 0:
            return "better"
        return "worse" if self.gain.high < 0 else "unclear"


class Changed(BaseModel):
    """A parameter that differs, by its dotted key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    first: Any
    second: Any


class Comparison(BaseModel):
    """What two runs have in common, and what not."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    first: str
    second: str
    items: int
    """Test items that both answered."""
    rows: tuple[Row, ...]
    """Scores of the whole, the gated one of each model first."""
    params: tuple[Changed, ...]
    notes: tuple[str, ...]


def compare(first: Finished, second: Finished, confidence: float, *, shared: bool) -> Comparison:
    """Compare on one test split; with `shared` on the items of both where the splits differ."""
    _refuse_other_tasks(first, second)
    ids = _common(first, second, shared)
    one, other = (_restricted(run, ids) for run in (first, second))
    differs = _relabelled(one.truth.answers, other.truth.answers)
    notes = [] if differs is None else [differs]
    both = [key for key in second.predictions if key in first.predictions]
    if not both:
        raise UserError(
            f"{first.name} and {second.name}: no model or target has stored answers in both; run "
            "both with this version"
        )
    for run, rival in ((first, second), (second, first)):
        alone = [key for key in run.predictions if key not in rival.predictions]
        notes += [f"with answers in {run.name} alone: {', '.join(alone)}"] if alone else []
    rows = [row for key in both for row in _rows(key, (one, other), confidence, differs is None)]
    return Comparison(
        first=first.name,
        second=second.name,
        items=len(ids),
        rows=tuple(rows),
        params=tuple(changed(first.params, second.params)),
        notes=tuple(notes),
    )


def changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Changed]:
    """Yield the parameters that differ, those of named recipes too, in the order of the second."""
    one, other = (dict(leaves("", written_out(each))) for each in (first, second))
    for key in dict.fromkeys([*other, *one]):
        pair = one.get(key, _ABSENT), other.get(key, _ABSENT)
        if pair[0] != pair[1]:
            yield Changed(key=key, first=pair[0], second=pair[1])


def _refuse_other_tasks(first: Finished, second: Finished) -> None:
    for what, one, other in (
        ("tasks", first.task.name, second.task.name),
        ("classes", ", ".join(first.task.classes), ", ".join(second.task.classes)),
    ):
        if one != other:
            raise UserError(f"{first.name} and {second.name}: other {what} ({one} against {other})")


def _common(first: Finished, second: Finished, shared: bool) -> tuple[str, ...]:
    theirs = set(first.truth.ids)
    both = tuple(name for name in second.truth.ids if name in theirs)
    sizes = len(theirs), len(second.truth.ids)
    if not both:
        raise UserError(f"{first.name} and {second.name}: no test item is in both")
    if not shared and {len(both)} != set(sizes):
        raise UserError(
            f"{first.name} and {second.name}: other test splits, {len(both)} items are in both of "
            f"{sizes[0]} and {sizes[1]}; --shared compares on those"
        )
    return both


def _restricted(run: Finished, ids: Sequence[str]) -> Finished:
    """Return a run with the answers to these items alone, in their order."""
    rows = _places(run.name, run.truth.ids, ids)
    groups = None if run.groups is None else np.unique(run.groups[rows], return_inverse=True)[1]
    held = {
        key: _picked(each, _places(f"{run.name}: {key}", each.ids, ids))
        for key, each in run.predictions.items()
    }
    return replace(run, truth=_picked(run.truth, rows), groups=groups, predictions=held)


def _places(where: str, ids: Sequence[str], wanted: Sequence[str]) -> npt.NDArray[np.int64]:
    places = {name: row for row, name in enumerate(ids)}
    missing = [name for name in wanted if name not in places]
    if missing:
        raise UserError(f"{where}: no answer to the test item {missing[0]}; run its stage again")
    return np.array([places[name] for name in wanted], np.int64)


def _picked(held: OpenPredictions, rows: npt.NDArray[np.int64]) -> OpenPredictions:
    ids = tuple(held.ids[row] for row in rows)
    return OpenPredictions(ids, {name: values[rows] for name, values in held.answers.items()})


def _relabelled(one: Arrays, other: Arrays) -> str | None:
    """Say why truths of the same items are not the same; None where they are."""
    shapes = [{name: values.shape for name, values in held.items()} for held in (one, other)]
    if shapes[0] != shapes[1]:
        return "labels are fitted to another input or task: each run by its own, nothing paired"
    items = len(next(iter(one.values())))
    same = np.ones(items, bool)
    for name, values in one.items():
        nan = values.dtype.kind == "f"
        equal = (values == other[name]) | (
            np.isnan(values) & np.isnan(other[name]) if nan else False
        )
        same &= equal.reshape(items, -1).all(axis=1)
    wrong = int((~same).sum())
    return f"labels of {wrong} of {items} items differ: nothing is paired" if wrong else None


def _rows(
    key: str, runs: tuple[Finished, Finished], confidence: float, paired: bool
) -> Iterator[Row]:
    one, other = runs
    ours, theirs = other.predictions[key].answers, one.predictions[key].answers
    before = one.task.answers.score(theirs, None, one.truth.answers, confidence, one.groups)
    now = other.task.answers.score(
        ours, theirs if paired else None, other.truth.answers, confidence, other.groups
    )
    held = {score.name: score for score in before if score.of is None}
    for score in now:
        if score.of is None and score.name in held:
            yield Row(
                model=key,
                score=score.name,
                unit=score.unit,
                first=held[score.name].value,
                second=score.value,
                gain=_gain(score),
            )


def _gain(score: Score) -> Interval | None:
    drop = score.drop
    if drop is None:
        return None
    # Minus zero would be written as a loss.
    ends = {"value": -drop.value + 0.0, "low": -drop.high + 0.0, "high": -drop.low + 0.0}
    return drop.model_copy(update=ends)
