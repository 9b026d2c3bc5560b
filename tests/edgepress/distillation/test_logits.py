from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from edgepress.distillation.teacher import Teacher
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import open_task
from tests.parts import PARTS

TASK = open_task(tuple("0123456789"))
RECIPE = {
    "method": "logits",
    "epochs": 2,
    "batch": 50,
    "learning_rate": 0.05,
    "weight_decay": 0.0,
    **PARTS,
    "temperature": 3.0,
    "weight": 0.9,
    "augment": "none",
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def examples() -> Examples:
    data = load_digits()
    pixels = (data.images[:300, ..., None] * 15.9).astype(np.uint8)
    spec = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
    return Examples(pixels, {"label": data.target[:300].astype(np.int64)}, spec)


def _linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class _Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.images = _linear(1), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.images += len(x)
        return self.network(x)


def _distill(examples: Examples, network: Teacher, **changes: object) -> nn.Module:
    student = _linear(2)
    job = Job(student, examples, examples, 0, TASK)
    resolve("distillation", {**RECIPE, **changes}, "params.yaml", "distill.recipe")(job, network)
    return student


def test_terms_match_the_papers_formula_when_computed_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 10, generator=generator)
    labels = torch.arange(6)
    p = (teacher / 3).softmax(1)
    kl = (p * (p.log() - (student / 3).softmax(1).log())).sum(1).mean()
    ce = -student.log_softmax(1)[torch.arange(6), labels].mean()
    learner = TASK.learner
    torch.testing.assert_close(
        learner.divergence({"logits": student}, {"logits": teacher}, 3.0), kl
    )
    torch.testing.assert_close(learner.loss({"logits": student}, {"label": labels})["loss"], ce)


def test_student_is_the_same_when_answers_are_cached_or_live(
    examples: Examples, tmp_path: Path
) -> None:
    teacher = Teacher(_linear(1), "a" * 64, tmp_path)
    cached = _distill(examples, teacher)
    live = _distill(examples, teacher, teacher="live")
    for first, second in zip(cached.parameters(), live.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_teacher_answers_each_image_once_when_cached(examples: Examples, tmp_path: Path) -> None:
    network = _Counted()
    teacher = Teacher(network, "a" * 64, tmp_path)
    _distill(examples, teacher)
    _distill(examples, teacher)
    assert network.images == len(examples)


def test_teacher_answers_every_step_when_images_are_augmented(
    examples: Examples, tmp_path: Path
) -> None:
    network = _Counted()
    _distill(examples, Teacher(network, "a" * 64, tmp_path), augment="shift")
    assert network.images == 2 * len(examples)
    assert not list(tmp_path.iterdir())


def test_cache_is_not_shared_when_teacher_or_images_differ(
    examples: Examples, tmp_path: Path
) -> None:
    network = _Counted()
    Teacher(network, "a" * 64, tmp_path).answer_once(examples, ("logits",))
    Teacher(network, "b" * 64, tmp_path).answer_once(examples, ("logits",))
    fewer = Examples(examples.pixels[:100], {"label": examples.truth["label"][:100]}, examples.spec)
    Teacher(network, "a" * 64, tmp_path).answer_once(fewer, ("logits",))
    assert network.images == 2 * len(examples) + 100


def test_student_follows_the_teacher_when_labels_do_not_count(
    examples: Examples, tmp_path: Path
) -> None:
    network = _linear(1)
    student = _distill(
        examples, Teacher(network, "a" * 64, tmp_path), weight=1.0, epochs=40, temperature=1.0
    )
    x = torch.from_numpy(examples.pixels).permute(0, 3, 1, 2).float() / 255 / 0.35 - 0.3 / 0.35
    with torch.inference_mode():
        agreement = (student(x).argmax(1) == network(x).argmax(1)).float().mean()
    assert agreement > 0.9
