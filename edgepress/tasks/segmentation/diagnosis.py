"""Diagnosis of segmentation: which class's pixels are taken for which other's."""

from __future__ import annotations

import numpy as np

from edgepress.records.diagnosis import ClassRow, Column, Diagnosis, PerClass
from edgepress.records.tensors import Arrays
from edgepress.tasks._telling import Ints, confusion, over
from edgepress.tasks.segmentation.decoding import NO_ANSWER
from edgepress.tasks.segmentation.labels import IGNORED, Params

COLUMNS = (
    Column(name="iou", unit="share"),
    Column(name="dice", unit="share"),
    Column(name="recall", unit="share"),
    Column(name="precision", unit="share"),
)


def diagnosis(
    answers: Arrays,
    truth: Arrays,
    classes: tuple[str, ...],
    *,
    params: Params,  # noqa: ARG001
) -> Diagnosis:
    """Return the confusion by pixel, and figures of every class over all pixels together."""
    table = _pixels(answers, truth, len(classes))
    images = np.zeros(len(classes), np.int64)
    for mask in truth["mask"]:
        images += np.bincount(mask.ravel(), minlength=256)[: len(classes)] > 0
    return Diagnosis(
        confusion=confusion("pixels", classes, "no answer", table),
        per_class=PerClass(unit="images", columns=COLUMNS, rows=_rows(table, images, classes)),
        notes=(
            "Reliability: answers of segmentation are classes without a confidence, so that "
            "nothing is known of it.",
        ),
    )


def _pixels(answers: Arrays, truth: Arrays, count: int) -> Ints:
    """Return judged pixels by true and answered class, [classes + 1, classes + 1]."""
    whole = np.zeros(256 * 256, np.int64)
    for mine, real in zip(answers["mask"], truth["mask"], strict=True):
        judged = real != IGNORED
        pairs = real[judged].astype(np.int64) * 256 + mine[judged]
        whole += np.bincount(pairs, minlength=256 * 256)
    square = whole.reshape(256, 256)
    table = np.zeros((count + 1, count + 1), np.int64)
    table[:count, :count] = square[:count, :count]
    table[:count, count] = square[:count, NO_ANSWER]
    return table


def _rows(table: Ints, images: Ints, classes: tuple[str, ...]) -> tuple[ClassRow, ...]:
    real, given, right = table.sum(axis=1), table.sum(axis=0), np.diagonal(table)
    return tuple(
        ClassRow(
            name=name,
            items=int(images[index]),
            values=(
                over(right[index], real[index] + given[index] - right[index]),
                over(2 * right[index], real[index] + given[index]),
                over(right[index], real[index]),
                over(right[index], given[index]),
            ),
        )
        for index, name in enumerate(classes)
        if real[index] or given[index]
    )
