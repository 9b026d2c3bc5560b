"""A recipe's loss, class weights and sampler in the loop, and what tasks refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training import answering, loop
from edgepress.training.criterion import criterion
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import open_task
from tests.edgepress.tasks.test_multilabel import ENTRY
from tests.edgepress.training.test_loop import RECIPE, TASK, Digits, _network, _same, _train
from tests.shapes import TASK as SHAPES

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
NAMES = ("a", "b", "c")
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-0.3, 0.2, 1.0], [0.0, 1.5, -2.0], [0.1, 0.2, 0.3]])


def _job(task: Task, truth: dict[str, np.ndarray]) -> Job:
    count = len(next(iter(truth.values())))
    pixels = np.zeros((count, 8, 8, 1), np.uint8)
    return Job(nn.Flatten(), Examples(pixels, truth, SPEC), None, 0, task)


def _cost(task: Task, truth: dict[str, np.ndarray], **changes: Any) -> dict[str, float]:
    recipe = resolve("training", {**RECIPE, **changes}, "params.yaml", "train.recipe").params
    wanted = {name: torch.from_numpy(values) for name, values in truth.items()}
    cost = criterion(_job(task, truth), recipe, changes.get("label_smoothing", 0.0))  # type: ignore[arg-type]
    return {name: float(value) for name, value in cost({"logits": LOGITS}, wanted).items()}


def test_image_counts_by_the_weight_of_its_class_when_classes_exclude_one_another() -> None:
    labels = np.array([0, 2, 1, 0])
    each = nn.functional.cross_entropy(LOGITS, torch.from_numpy(labels), reduction="none")
    weight = torch.tensor([5.0, 2.0, 1.0, 5.0])
    found = _cost(open_task(NAMES), {"label": labels}, class_weights={"a": 5.0, "c": 2.0})
    assert found["loss"] == pytest.approx(float((weight * each).mean()))
    assert found["accuracy"] == 0.75
    balanced = torch.tensor([4 / 6, 4 / 3, 4 / 3, 4 / 6])
    found = _cost(open_task(NAMES), {"label": labels}, class_weights="balanced")
    assert found["loss"] == pytest.approx(float((balanced * each).mean()))


def test_term_counts_by_the_weight_of_its_class_when_each_may_be_there() -> None:
    present = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]], np.uint8)
    entry = {**ENTRY, "focus_negative": 2.0, "margin": 0.05}
    task = Task.open(entry, NAMES, "test")
    p, y = LOGITS.sigmoid(), torch.from_numpy(present).float()
    left = (p - 0.05).clamp(min=0)
    terms = -(y * p.log() + (1 - y) * left**2 * (1 - left).log())
    expected = (terms * torch.tensor([1.0, 3.0, 1.0])).sum(1).mean()
    found = _cost(task, {"present": present}, class_weights={"b": 3.0})
    assert found["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert _cost(task, {"present": present}, class_weights={"b": 1.0}) == pytest.approx(
        _cost(task, {"present": present})
    )


def test_named_cross_entropy_trains_to_the_weights_of_the_default(digits: Digits) -> None:
    plain, named = _train(digits), _train(digits, loss={"method": "cross_entropy"})
    assert _same(plain.network, named.network)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"method": "focal", "focus": 2.0}},
        {"loss": {"method": "binary_cross_entropy"}, "augment": {"mixup": 0.2}},
        {"class_weights": "effective_number"},
        {"sampler": {"method": "balanced"}},
    ],
    ids=str,
)
def test_digits_are_learnt_by_every_part(digits: Digits, changes: dict[str, Any]) -> None:
    recipe = {"epochs": 20, "augment": "none", "learning_rate": 0.02, **changes}
    job = _train(digits, **recipe)
    assert answering.scores(job.network, digits[1], TASK)[0].value.value > 0.85


def _rare(digits: Digits) -> Digits:
    """Ninety-five in a hundred of the training digits are zeros or ones, the others threes."""
    train, val = digits
    zero, three = (np.flatnonzero(train.truth["label"] == k) for k in (0, 3))
    rows = np.concatenate([np.tile(zero, 8)[:285], three[:15]])
    few = Examples(train.pixels[rows], {"label": train.truth["label"][rows]}, train.spec)
    there = np.flatnonzero(np.isin(val.truth["label"], (0, 3)))
    return few, Examples(val.pixels[there], {"label": val.truth["label"][there]}, val.spec)


@pytest.mark.parametrize(
    "changes",
    [{"class_weights": "balanced"}, {"sampler": {"method": "balanced"}}, {}],
    ids=["weights", "sampler", "neither"],
)
def test_first_step_leans_to_neither_class_when_classes_are_balanced(
    digits: Digits, changes: dict[str, Any]
) -> None:
    """The slope of the last bias says which class a batch pulls to."""
    train, val = _rare(digits)
    recipe = {"schedule": {"method": "constant", "warmup": 0.0}, "augment": "none", **changes}
    job = _train((train, val), batch=300, epochs=1, learning_rate=0.01, **recipe)
    before, after = (each[4].bias.detach() for each in (_network(), job.network))  # type: ignore[index]
    ratio = float((after - before)[3] / (after - before)[0])
    assert 0.6 < ratio < 1.6 if changes else abs(ratio) < 0.4


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        (SHAPES, {"loss": {"method": "focal", "focus": 2.0}}, "loss: detection learns by a loss"),
        (SHAPES, {"class_weights": "balanced"}, "class_weights: detection learns by a loss of its"),
        (None, {"sampler": {"method": "balanced"}}, "sampler.method: this learns without labels"),
        (
            Task.open(ENTRY, NAMES, "test"),
            {"loss": {"method": "cross_entropy"}},
            "loss.method: cross_entropy is for classes that exclude one another; take binary_",
        ),
        (
            TASK,
            {"class_weights": {"11": 2.0}},
            "class_weights.11: no such class .*the 10 are 0, 1, 2",
        ),
    ],
    ids=["loss", "weights", "sampler", "sets", "class"],
)
def test_training_is_refused_when_the_task_cannot_give_what_is_asked(
    digits: Digits, task: Task | None, changes: dict[str, Any], words: str
) -> None:
    recipe = resolve("training", {**RECIPE, **changes}, "x", "y")
    job = Job(_network(), digits[0], None, 0, task)
    # Without labels there is no loss of theirs to train by.
    train = recipe if task is TASK else lambda job: loop.fit(job, recipe.params, lambda *_: {})  # type: ignore[arg-type, return-value]
    with pytest.raises(UserError, match=f"training: {words}"):
        train(job)
