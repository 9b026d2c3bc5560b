"""What is kept of an export's answers: those that changed most, few, and whole on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress import tasks
from edgepress.errors import UserError
from edgepress.records import changed
from edgepress.records.changed import ANSWERS, MOST, Changed
from edgepress.records.diagnosis import Diagnosis
from edgepress.records.reference import OpenReference
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.validation.diagnosis import Told, tell

TASK = Task.open({"method": "segmentation", "ignore_index": None, "argmax": True}, ("a", "b"), "t")


def told(wrong: list[int]) -> Told:
    """Masks of ten items of which so many pixels differ from the float network's."""
    truth = np.zeros((10, 4, 4), np.uint8)
    ours = truth.copy()
    for row, pixels in enumerate(wrong):
        ours[row].flat[:pixels] = 1
    ids = tuple(f"image{row}" for row in range(10))
    held = OpenReference(ids, {"mask": truth}, {"mask": truth}, (0,), {}, "b" * 64)
    return tell(TASK, {"mask": ours}, held)


def test_most_changed_answers_are_kept_the_worst_first() -> None:
    found = told([0, 3, 0, 16, 0, 0, 0, 0, 2, 0])
    assert found.changed.ids == ("image3", "image1", "image8")
    assert found.changed.agreement == (0.0, 13 / 16, 14 / 16)
    assert [int(mask.sum()) for mask in found.changed.answers["mask"]] == [16, 3, 2]
    assert found.diagnosed.ours != found.diagnosed.floats


def test_only_some_are_kept_when_all_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(told([1] * 10).changed.ids) == MOST
    monkeypatch.setattr(changed, "MOST_BYTES", 40)  # a mask has 16
    assert len(told([1] * 10).changed.ids) == 2


def test_answers_come_back_when_written(tmp_path: Path) -> None:
    held = told([2, 1] * 5).changed
    Changed.create(tmp_path, held)
    found = Changed.open(tmp_path)
    assert (found.ids, found.agreement) == (held.ids, held.agreement)
    np.testing.assert_array_equal(found.answers["mask"], held.answers["mask"])
    (tmp_path / ANSWERS).write_bytes(b"half")
    with pytest.raises(UserError, match=r"changed.npz: is not the file changed.json names"):
        Changed.open(tmp_path)


def test_nothing_is_told_when_the_task_has_no_diagnosis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "__init__.py").touch()
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    answers: Arrays = {"mask": np.zeros((1, 2, 2), np.uint8)}
    assert Task("plain", TASK.params, TASK.classes).diagnosis(answers, answers) == Diagnosis()
