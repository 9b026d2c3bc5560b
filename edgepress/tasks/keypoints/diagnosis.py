"""Diagnosis of keypoints: how many of each point are near enough, by what near enough means."""

from __future__ import annotations

import numpy as np

from edgepress.records.diagnosis import Chart, ClassRow, Column, Curve, Diagnosis, PerClass
from edgepress.records.tensors import Arrays
from edgepress.tasks._telling import over, readable, rounded
from edgepress.tasks.keypoints.answers import shares
from edgepress.tasks.keypoints.labels import Params

STEPS = 41
"""Tolerances at which points are counted: from none to twice the task's own."""
COLUMNS = (
    Column(name="pck", unit="share"),
    Column(name="median_error", unit="share", better="lower"),
    Column(name="right", unit="count"),
    Column(name="missed", unit="count", better="lower"),
)


def diagnosis(
    answers: Arrays,
    truth: Arrays,
    classes: tuple[str, ...],  # noqa: ARG001
    *,
    params: Params,
) -> Diagnosis:
    """Return PCK over tolerance, and figures, of every point that is labelled."""
    labelled, far = truth["visible"] > 0, shares(answers, truth)
    most = min(1.0, 2 * params.tolerance)
    tolerances = np.linspace(0.0, most, STEPS)
    curves, rows = [], []
    for index, name in enumerate(params.points):
        mine = far[labelled[:, index], index]
        if not len(mine):
            continue
        right = int((mine <= params.tolerance).sum())
        pck = over(right, len(mine)) or 0.0
        near = (mine[:, None] <= tolerances).mean(axis=0)
        mark = (params.tolerance, pck)
        curves.append(
            Curve(name=name, x=rounded(tolerances), y=rounded(near), value=pck, mark=mark)
        )
        median = min(1.0, float(np.median(mine)))
        values = (pck, median, right, len(mine) - right)
        rows.append(ClassRow(name=name, items=len(mine), values=values))
    chart = Chart(
        title="Points within a tolerance",
        x_title="tolerance, of the box's longer side",
        y_title="points within",
        value_title="pck",
        curves=readable(curves),
        x_high=most,
        note=f"A mark is at the task's own tolerance, {100 * params.tolerance:g} %.",
    )
    return Diagnosis(
        charts=(chart,),
        per_class=PerClass(unit="points", columns=COLUMNS, rows=tuple(rows)),
    )
