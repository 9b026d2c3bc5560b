"""Which classes are on which item, by hand."""

from __future__ import annotations

import numpy as np

from edgepress.tasks.balance import Shown
from edgepress.tasks.task import Task
from tests.classified import open_task
from tests.edgepress.tasks.test_multilabel import TASK as SETS
from tests.shapes import TASK as SHAPES
from tests.spots import TASK as SPOTS


def _shown(task: Task, truth: dict[str, np.ndarray]) -> Shown:
    assert task.balance is not None
    return task.balance.shown(truth)


def test_each_class_of_a_picture_counts_once_however_many_objects_it_has() -> None:
    category = np.array([[1, 1, 0, -1], [-1, -1, -1, -1], [1, 0, -1, -1]], np.int32)
    ignore = np.zeros((3, 4), bool)
    ignore[2, 1] = True  # not judged, so not shown
    found = _shown(SHAPES, {"category": category, "ignore": ignore})
    assert list(zip(found.item.tolist(), found.category.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (2, 1),
    ]
    assert (found.items, found.counts[:2].tolist()) == (3, [1, 2])
    assert found.counts.size == len(SHAPES.classes)


def test_items_without_a_class_are_items_too() -> None:
    present = np.array([[0, 1, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    found = _shown(SETS, {"present": present})
    assert found.items == 3
    assert found.counts.tolist() == [0, 2, 1]
    one = _shown(open_task(("a", "b", "c")), {"label": np.array([2, 0, 2])})
    assert one.category.tolist() == [2, 0, 2]
    assert one.counts.tolist() == [1, 0, 2]


def test_tasks_without_the_file_tell_no_classes() -> None:
    assert SPOTS.balance is None
    assert SHAPES.balance is not None
    assert SHAPES.balance.loss is None
