"""Diagnosis of classification: what is taken for what, and how far confidences can be trusted."""

from __future__ import annotations

import numpy as np

from edgepress.params import Config
from edgepress.records.diagnosis import ClassRow, Column, Diagnosis, Figure, PerClass
from edgepress.records.tensors import Arrays
from edgepress.tasks._telling import BINS, Doubles, Ints, confusion, over, reliability
from edgepress.tasks.classification.decoding import NO_ANSWER

COLUMNS = (
    Column(name="recall", unit="share"),
    Column(name="precision", unit="share"),
    Column(name="right", unit="count"),
    Column(name="missed", unit="count", better="lower"),
    Column(name="false", unit="count", better="lower"),
)


def diagnosis(
    answers: Arrays,
    truth: Arrays,
    classes: tuple[str, ...],
    *,
    params: Config,  # noqa: ARG001
) -> Diagnosis:
    """Return the confusion by image, reliability with its error, and figures of every class."""
    label, real = answers["label"], truth["label"]
    count = len(classes)
    table = np.zeros((count + 1, count + 1), np.int64)
    np.add.at(table, (real, np.where(label == NO_ANSWER, count, label)), 1)
    sums = _bins(answers, label == real)
    error = float(np.abs(sums[1] - sums[2]).sum() / max(sums[0].sum(), 1.0))
    return Diagnosis(
        charts=(reliability(sums),),
        confusion=confusion("images", classes, "no answer", table),
        per_class=PerClass(unit="images", columns=COLUMNS, rows=_rows(table, classes)),
        figures=(Figure(name="calibration_error", value=error),),
    )


def _rows(table: Ints, classes: tuple[str, ...]) -> tuple[ClassRow, ...]:
    items, given, right = table.sum(axis=1), table.sum(axis=0), np.diagonal(table)
    return tuple(
        ClassRow(
            name=name,
            items=int(items[index]),
            values=(
                over(right[index], items[index]),
                over(right[index], given[index]),
                int(right[index]),
                int(items[index] - right[index]),
                int(given[index] - right[index]),
            ),
        )
        for index, name in enumerate(classes)
        if items[index] or given[index]
    )


def _bins(answers: Arrays, right: Ints) -> Doubles:
    """Return answers, confidences and hits in each range of confidence, [3, BINS].

    No answer counts as sure and wrong.
    """
    none = answers["label"] == NO_ANSWER
    confidence = np.where(none, 1.0, answers["confidence"]).astype(np.float64)
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    weights = (np.ones(len(place)), confidence, right.astype(np.float64))
    return np.stack([np.bincount(place, weight, BINS) for weight in weights])
