"""Diagnosis: what an export's answers tell beside their scores, and those that changed most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepress.records.changed import OpenChanged, fitting
from edgepress.records.diagnosis import Diagnosed
from edgepress.records.reference import OpenReference
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task


@dataclass(frozen=True)
class Told:
    """What is kept of an export's answers: bounded, however many items there are."""

    diagnosed: Diagnosed
    changed: OpenChanged


def tell(task: Task, ours: Arrays, reference: OpenReference) -> Told:
    """Diagnose answers to the reference's items, and pick those farthest from the reference's."""
    agreement = task.answers.agreement(ours, reference.answers)
    rows = np.argsort(agreement, kind="stable")[: fitting(ours)]
    rows = rows[agreement[rows] < 1]
    return Told(
        Diagnosed(
            ours=task.diagnosis(ours, reference.truth),
            floats=task.diagnosis(reference.answers, reference.truth),
        ),
        OpenChanged(
            tuple(reference.ids[row] for row in rows),
            tuple(agreement[rows].tolist()),
            {name: values[rows] for name, values in ours.items()},
        ),
    )
