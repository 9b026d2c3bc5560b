"""Diagnosis of multi-label: precision against recall of every class, what is given and missed."""

from __future__ import annotations

import numpy as np

from edgepress.records.diagnosis import Chart, ClassRow, Column, Curve, Diagnosis, PerClass
from edgepress.records.tensors import Arrays
from edgepress.tasks._telling import over, readable, reliability, rounded
from edgepress.tasks.multilabel.labels import Params
from edgepress.tasks.multilabel.measures import Measures
from edgepress.tasks.multilabel.ranking import Draws, Ranked

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is shown."""
COLUMNS = (
    Column(name="ap", unit="share"),
    Column(name="f1", unit="share"),
    Column(name="right", unit="count"),
    Column(name="missed", unit="count", better="lower"),
    Column(name="false", unit="count", better="lower"),
)


def diagnosis(
    answers: Arrays, truth: Arrays, classes: tuple[str, ...], *, params: Params
) -> Diagnosis:
    """Return a curve and figures of every class that the truth has, and reliability."""
    present = truth["present"] == 1
    held = Measures.of(answers, present)
    whole = Draws.of(np.ones((1, len(present))))
    items, counts = present.sum(axis=0), held.counts.sum(axis=0).astype(np.int64)
    curves, rows = [], []
    for index, name in enumerate(classes):
        hits, alarms, misses = counts[:, index].tolist()
        ap = None
        if items[index]:
            recall, precision = over(hits, items[index]), over(hits, hits + alarms)
            mark = None if recall is None or precision is None else (recall, precision)
            ap = float(held.ranked[index].precision(whole)[0])
            curves.append(_curve(name, held.ranked[index], ap, mark))
        if items[index] or alarms:
            f1 = over(2 * hits, 2 * hits + alarms + misses)
            values = (ap, f1, hits, misses, alarms)
            rows.append(ClassRow(name=name, items=int(items[index]), values=values))
    chart = Chart(
        title="Precision and recall",
        x_title="recall",
        y_title="precision",
        value_title="ap",
        curves=readable(curves),
        note=f"A mark is at the threshold, a confidence of {params.threshold:g}.",
    )
    about = "Over all pairs of an image and a class: how often the class is there."
    return Diagnosis(
        charts=(chart, reliability(held.bins.sum(axis=0), about)),
        per_class=PerClass(unit="images", columns=COLUMNS, rows=tuple(rows)),
    )


def _curve(name: str, ranked: Ranked, value: float, mark: tuple[float, float] | None) -> Curve:
    """Return precision at `RECALLS`, each at the first threshold that reaches the recall."""
    recall = ranked.positive_ends / max(len(ranked.positives), 1)
    precision = ranked.positive_ends / ranked.ends
    place = np.searchsorted(recall, RECALLS - 1e-12)
    return Curve(name=name, x=rounded(RECALLS), y=rounded(precision[place]), value=value, mark=mark)
