"""Slices: the first score on parts of the test split, and which of them are surely worse.

A part is worse where its whole interval is worse than the score of all items. The intervals are
those of 95 % over all parts together (Bonferroni), so that one in twenty reports, not one in twenty
parts, names one by chance; and since a part lies within the whole, the whole's own doubt adds none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepress.records.diagnosis import Slice
from edgepress.records.measurement import Score
from edgepress.records.reference import OpenReference
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task

LEAST = 10
"""Items below which a part is left out."""
MOST = 40
"""Parts of one kind, the largest of them."""
DOUBT = 0.05

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Items:
    """What is known of the test items besides their labels, in the reference's order."""

    sizes: Sequence[tuple[int, int]]
    """Width and height in pixels."""
    classes: Sequence[str | None]
    """A class that each counts for."""
    groups: Sequence[str | None]
    """Names of groups; empty where there are none."""


def slices(task: Task, reference: OpenReference, items: Items) -> tuple[Slice, ...]:
    """Return the first score of all parts that are large enough, the worst of each kind first."""
    parts = [(by, name, rows) for by, name, rows in _parts(items) if len(rows) >= LEAST]
    if not parts:
        return ()
    everything = np.arange(len(reference.ids))
    whole = _score(task, reference, everything, 1 - DOUBT)
    confidence = 1 - DOUBT / len(parts)
    found = []
    for by, name, rows in parts:
        score = _score(task, reference, rows, confidence)
        found.append(
            Slice(by=by, name=name, items=len(rows), score=score, worse=_worse(score, whole))
        )
    kinds = list(dict.fromkeys(each.by for each in found))
    return tuple(sorted(found, key=lambda each: (kinds.index(each.by), _rank(each.score))))


def _parts(items: Items) -> Iterator[tuple[str, str, Rows]]:
    yield from _named("class", items.classes)
    areas = np.array([width * height for width, height in items.sizes], np.int64)
    low, high = np.quantile(areas, [1 / 3, 2 / 3]) if len(areas) else (0, 0)
    if low < high:
        side = np.digitize(areas, [low, high], right=True)
        for place, name in enumerate(
            (f"small, up to {_pixels(low)}", "middle", f"large, above {_pixels(high)}")
        ):
            yield "size", name, np.flatnonzero(side == place)
    yield from _named("group", items.groups)


def _named(by: str, names: Sequence[str | None]) -> Iterator[tuple[str, str, Rows]]:
    """Yield the rows of every name, the most frequent first; one name alone is no part."""
    told = np.array([name or "" for name in names], np.str_)
    found, counts = np.unique(told[told != ""], return_counts=True)
    if len(found) > 1:
        for place in np.argsort(-counts, kind="stable")[:MOST].tolist():
            yield by, str(found[place]), np.flatnonzero(told == found[place])


def _score(task: Task, reference: OpenReference, rows: Rows, confidence: float) -> Score:
    def taken(arrays: Arrays) -> Arrays:
        return {name: values[rows] for name, values in arrays.items()}

    groups = None
    if reference.groups is not None:
        groups = np.unique(reference.groups[rows], return_inverse=True)[1].astype(np.int64)
        groups = groups if groups.max() else None
    answers, truth = taken(reference.answers), taken(reference.truth)
    return task.answers.score(answers, None, truth, confidence, groups)[0]


def _worse(part: Score, whole: Score) -> bool:
    if part.better == "higher":
        return part.value.high < whole.value.value
    return part.value.low > whole.value.value


def _rank(score: Score) -> float:
    return score.value.value if score.better == "higher" else -score.value.value


def _pixels(area: float) -> str:
    return f"{area / 1e6:.2g} MP" if area >= 1e5 else f"{area:,.0f} pixels"
