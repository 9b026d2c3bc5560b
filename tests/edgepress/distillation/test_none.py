"""The teacher as the student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import network, open_task

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
NONE = resolve("distillation", {"method": "none"}, "test", "distill.recipe")


def made(width: int) -> Any:
    return network(SPEC, 3, {"method": "resnet_cifar", "depth": 8, "width": width})


def job(student: Any) -> Job:
    data = Examples(np.zeros((2, 8, 8, 1), np.uint8), {"label": np.zeros(2, np.int64)}, SPEC)
    return Job(student, data, None, 0, open_task(("a", "b", "c")))


def test_student_answers_as_the_teacher_when_nothing_is_distilled(tmp_path: Path) -> None:
    teacher, student = made(8).eval(), made(8).eval()
    assert NONE(job(student), Teacher(teacher, "", tmp_path)) == []
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(teacher(images), student(images))


def test_another_student_is_refused_when_nothing_is_distilled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another network than the student; set distill.backbone"):
        NONE(job(made(4)), Teacher(made(8), "", tmp_path))
