"""What the tasks' diagnoses have in common: curves that fit one chart, reliability, confusions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.records.diagnosis import MOST_IN_A_MATRIX, Chart, Confusion, Curve, Pair

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_CURVES = 12
"""Curves that one chart can hold apart."""
WORST = 6
"""Curves shown beside the mean where there are more."""
PAIRS = 10
"""Confused pairs that are named."""
BINS = 15
"""Equal ranges of confidence in which it is held against how often it is right."""


def readable(curves: list[Curve]) -> tuple[Curve, ...]:
    """Return all curves, or of too many their mean and the worst by value.

    The mean is taken point by point: all have the same x.
    """
    if len(curves) <= MOST_CURVES:
        return tuple(curves)
    ranked = sorted(curves, key=lambda curve: (curve.value or 0.0, curve.name))
    y = np.mean([curve.y for curve in curves], axis=0)
    value = float(np.mean([curve.value or 0.0 for curve in curves]))
    mean = Curve(name=f"mean of {len(curves)}", x=curves[0].x, y=rounded(y), value=value)
    return (mean, *ranked[:WORST])


def reliability(sums: Doubles, note: str = "") -> Chart:
    """Return how often answers are right against how sure they are, in bins.

    `sums` [3, bins] over each bin's answers: how many, their confidences, how many are right.
    Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    items, confidence, right = sums
    there = np.flatnonzero(items > 0)
    count = items[there]
    curve = Curve(
        name="answers by confidence",
        x=rounded(confidence[there] / count),
        y=rounded(right[there] / count),
        weights=rounded(count / max(items.sum(), 1.0)),
    )
    return Chart(
        title="Reliability",
        x_title="confidence",
        y_title="right",
        curves=(curve,) if len(there) else (),
        diagonal=True,
        note=note,
    )


def confusion(unit: str, classes: tuple[str, ...], other: str, counts: Ints) -> Confusion:
    """Return the confusion of counts [classes + 1, classes + 1], rows being truths.

    The last row and column are of `other`: no class, or no answer. What neither occurs nor is
    answered is left out.
    """
    names = [*classes, other]
    there = np.flatnonzero((counts.sum(axis=1) + counts.sum(axis=0))[:-1])
    rows, columns = there.tolist(), there.tolist()
    rows += [len(classes)] if counts[-1].any() else []
    columns += [len(classes)] if counts[:, -1].any() else []
    total = counts.sum(axis=1)
    pairs = [
        Pair(
            truth=names[row],
            answer=names[column],
            count=int(counts[row, column]),
            of=int(total[row]) if row < len(classes) else 0,
        )
        for row, column in np.argwhere(counts).tolist()
        if row != column
    ]
    whole = len(there) <= MOST_IN_A_MATRIX
    return Confusion(
        unit=unit,
        truths=tuple(names[row] for row in rows) if whole else (),
        answers=tuple(names[column] for column in columns) if whole else (),
        counts=tuple(tuple(counts[row, columns].tolist()) for row in rows) if whole else (),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.count)[:PAIRS]),
    )


def rounded(values: Doubles) -> tuple[float, ...]:
    """Return numbers to four digits: a page draws no finer."""
    return tuple(round(float(value), 4) for value in values)


def over(part: float, whole: float) -> float | None:
    """Return a share, None of nothing."""
    return float(part) / float(whole) if whole else None
