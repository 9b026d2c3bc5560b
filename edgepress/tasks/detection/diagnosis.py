"""Diagnosis of detection: precision against recall, and what sure boxes take for what.

Boxes and objects are paired as in COCO at an overlap of 0.5: surest first, within a class; sure
boxes and objects that are left over are then paired whatever their classes, which are the
confusions. What is still left is background: taken for an object, or an object taken for it.
"""

from __future__ import annotations

import numpy as np

from edgepress.records.diagnosis import Chart, ClassRow, Column, Curve, Diagnosis, PerClass
from edgepress.records.tensors import Arrays
from edgepress.tasks._average_precision import RECALLS, Matched, match, mean
from edgepress.tasks._matching import HIT, LEFT_OUT, Flags
from edgepress.tasks._telling import Doubles, Ints, confusion, over, readable, reliability, rounded
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.answers import box_overlap
from edgepress.tasks.detection.calibration import Calibration
from edgepress.tasks.detection.labels import Params

_SAME = 0.5
"""Overlap from which a box is of an object."""
COLUMNS = (
    Column(name="ap", unit="share"),
    Column(name="ap_50", unit="share"),
    Column(name="right", unit="count"),
    Column(name="missed", unit="count", better="lower"),
    Column(name="false", unit="count", better="lower"),
)


def diagnosis(
    answers: Arrays, truth: Arrays, classes: tuple[str, ...], *, params: Params
) -> Diagnosis:
    """Return a curve and figures of every class, the confusion of sure boxes, reliability."""
    matched = match(answers, truth, len(classes), box_overlap)
    precision = matched.precision(np.ones((1, matched.images)))[0]
    table = _confused(matched, answers, truth, params.sure)
    items = matched.judged.sum(axis=0).astype(np.int64)
    ap = mean(precision, axis=0, nothing=np.nan)
    curves, rows = [], []
    for index, name in enumerate(classes):
        right, given = int(table[index, index]), int(table[:, index].sum())
        if items[index]:
            mark = _mark(right, given, int(items[index]))
            curves.append(_curve(matched, index, name, mark))
            known = (float(ap[index]), float(precision[0, index]))
        if items[index] or given:
            averages = known if items[index] else (None, None)
            counts = (right, int(items[index]) - right, given - right)
            row = ClassRow(name=name, items=int(items[index]), values=(*averages, *counts))
            rows.append(row)
    chart = Chart(
        title="Precision and recall at an overlap of 0.5",
        x_title="recall",
        y_title="precision",
        value_title="ap_50",
        curves=readable(curves),
        note=f"A mark is at the confidence from which a box is sure, {params.sure:g}.",
    )
    sums = Calibration.of(matched, params.sure).sums.sum(axis=0)
    about = "Of sure boxes; a confidence that tells the overlap too lies below the share of hits."
    return Diagnosis(
        charts=(chart, reliability(sums, about)),
        confusion=confusion("boxes", classes, "background", table),
        per_class=PerClass(unit="objects", columns=COLUMNS, rows=tuple(rows)),
        notes=_notes(params),
    )


def _notes(params: Params) -> tuple[str, ...]:
    """Say what a device has to do for the figures to hold of it."""
    if params.tiles is None:
        return ()
    besides = ", and shrunk into one input besides" if params.tiles.whole else ""
    cut = f"by tiles that overlap by {params.tiles.overlap:g} of a side or more{besides}"
    least = "these figures are of a device that does so too"
    return (f"Pictures larger than the input were answered {cut}; {least}.",)


def _mark(right: int, given: int, items: int) -> tuple[float, float] | None:
    precision, recall = over(right, given), over(right, items)
    return None if precision is None or recall is None else (recall, precision)


def _curve(matched: Matched, index: int, name: str, mark: tuple[float, float] | None) -> Curve:
    """Return the best precision at each of COCO's recalls or a higher one; their mean is AP."""
    outcome, listed = matched.outcome[:, 0], matched.listed
    these = np.flatnonzero((listed.category == index) & (outcome != LEFT_OUT))
    these = these[np.argsort(-listed.score[these], kind="stable")]
    hits = np.cumsum(outcome[these] == HIT)
    precision = hits / np.arange(1, len(these) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(hits / matched.judged[:, index].sum(), RECALLS)
    y = np.append(best, 0.0)[place]
    return Curve(name=name, x=rounded(RECALLS), y=rounded(y), value=float(y.mean()), mark=mark)


def _confused(matched: Matched, answers: Arrays, truth: Arrays, sure: float) -> Ints:
    """Return sure boxes by the class of their object, [classes + 1, classes + 1]."""
    table = np.zeros((matched.classes + 1, matched.classes + 1), np.int64)
    listed, objects = matched.listed, matched.objects
    stay = (listed.score >= sure) & (matched.outcome[:, 0] != LEFT_OUT)
    judged = objects.judged("all")
    images = np.arange(matched.images + 1)
    first, start = (np.searchsorted(side.image, images) for side in (listed, objects))
    for image in range(matched.images):
        mine = np.arange(*first[image : image + 2])
        mine = mine[stay[mine]]
        mine = mine[np.argsort(-listed.score[mine], kind="stable")]
        real = np.arange(*start[image : image + 2])
        real = real[judged[real]]
        given, wanted = listed.category[mine], objects.category[real]
        overlap = boxes.overlaps(
            answers["boxes"][image, listed.place[mine]].astype(np.float64),
            truth["boxes"][image, objects.place[real]].astype(np.float64),
        )
        for row, column in _paired(overlap, given[:, None] == wanted[None]):
            table[wanted[column] if column >= 0 else -1, given[row] if row >= 0 else -1] += 1
    return table


def _paired(overlap: Doubles, alike: Flags) -> list[tuple[int, int]]:
    """Return pairs of a box and an object; -1 stands for background."""
    found: list[tuple[int, int]] = []
    free = overlap >= _SAME
    for allowed in (alike, np.ones_like(alike)):
        for row in range(len(overlap)):
            wanted = np.where(free[row] & allowed[row], overlap[row], -1.0)
            if len(wanted) and wanted.max() >= 0:
                column = int(wanted.argmax())
                found.append((row, column))
                free[row], free[:, column] = False, False
    boxes_taken, objects_taken = ({pair[side] for pair in found} for side in (0, 1))
    found += [(row, -1) for row in range(overlap.shape[0]) if row not in boxes_taken]
    return found + [(-1, place) for place in range(overlap.shape[1]) if place not in objects_taken]
