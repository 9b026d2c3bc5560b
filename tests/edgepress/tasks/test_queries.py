"""Queries against the transformers library: answers, and what is learnt of a teacher."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RTDetrImageProcessor

from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.tasks.detection.codings.queries import BOXES, SCORES
from edgepress.tasks.detection.learning.queries import targets
from edgepress.tasks.task import Task

SPEC = InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
ENTRY: dict[str, Any] = {
    "method": "detection",
    "strides": [],
    "most_objects": 6,
    "most_answers": 12,
    "least_score": 0.05,
    "overlap": 1.0,
    "sure": 0.3,
    "coding": {"method": "queries", "queries": 12},
}
CLASSES = ("cell", "wall", "seed")
TASK = Task.open(ENTRY, CLASSES, "test")


def outputs(items: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return boxes within the input and logits of any size."""
    generator = torch.Generator().manual_seed(seed)
    sides = 0.1 + 0.3 * torch.rand(items, 12, 2, generator=generator)
    middles = 0.2 + 0.6 * torch.rand(items, 12, 2, generator=generator)
    logits = torch.randn(items, 12, 3, generator=generator) * 2
    return {BOXES: torch.cat([middles, sides], -1), SCORES: logits}


def numpy(raw: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in raw.items()}


def test_outputs_are_a_box_and_a_logit_of_each_class_for_every_query() -> None:
    found = {spec.name: spec.shape for spec in TASK.answers.outputs(SPEC)}
    assert found == {BOXES: (1, 12, 4), SCORES: (1, 12, 3)}


def test_answers_are_the_librarys_when_outputs_are_any() -> None:
    raw = outputs(5)
    theirs = RTDetrImageProcessor().post_process_object_detection(
        SimpleNamespace(logits=raw[SCORES], pred_boxes=raw[BOXES]), 0.05, [(48, 64)] * 5
    )
    found = TASK.answers.decode(numpy(raw), SPEC)
    for row, each in enumerate(theirs):
        count = len(each["labels"])
        assert count > 4
        assert found["category"][row].tolist() == [*each["labels"].tolist(), *[-1] * (12 - count)]
        limit = torch.tensor([64.0, 48, 64, 48])
        boxes = each["boxes"].clamp(min=0).minimum(limit)
        assert np.allclose(found["boxes"][row, :count], boxes.numpy(), atol=1e-4)
        assert np.allclose(found["scores"][row, :count], each["scores"].numpy(), atol=1e-6)


def test_boxes_of_a_class_that_are_one_are_both_kept_unless_overlap_says_otherwise() -> None:
    raw = numpy(outputs(1))
    raw[BOXES][:] = raw[BOXES][:, :1]
    raw[SCORES][:] = -9.0
    raw[SCORES][0, :2, 1] = 3.0, 2.0
    less = Task.open({**ENTRY, "overlap": 0.6}, CLASSES, "test")
    both, one = (task.answers.decode(raw, SPEC)["category"][0] for task in (TASK, less))
    assert both[:3].tolist() == [1, 1, -1]
    assert one[:2].tolist() == [1, -1]


def test_outputs_that_are_not_finite_are_no_answer() -> None:
    raw = numpy(outputs(2))
    raw[BOXES][0, 3, 2] = np.nan
    found = TASK.answers.decode(raw, SPEC)
    assert found["category"][0].max() < 0
    assert found["category"][1].max() >= 0


def test_queries_are_compared_in_the_order_of_the_floats_when_they_are_in_another() -> None:
    raw = numpy(outputs(3))
    turned = {name: values[:, ::-1] + np.float32(1e-3) for name, values in raw.items()}
    found = TASK.ordered(turned, raw)
    assert list(found) == list(raw)
    assert all(np.allclose(found[name], raw[name], atol=2e-3) for name in raw)
    turned[SCORES][1, 0, 0] = np.nan
    again = TASK.ordered(turned, raw)
    assert np.array_equal(again[SCORES][1], turned[SCORES][1], equal_nan=True)
    assert np.allclose(again[BOXES][2], raw[BOXES][2], atol=2e-3)


def test_box_that_is_elsewhere_stays_elsewhere_when_queries_are_put_in_order() -> None:
    raw = numpy(outputs(1))
    moved = {name: values.copy() for name, values in raw.items()}
    moved[BOXES][0, :, 0] += 0.1
    found = TASK.ordered(moved, raw)
    assert np.abs(found[BOXES] - raw[BOXES]).sum() >= 12 * 0.1 - 1e-4


def test_maps_stay_as_they_are_when_outputs_are_put_in_order() -> None:
    entry = {**ENTRY, "strides": [8], "coding": {"method": "distances"}}
    task = Task.open(entry, CLASSES, "test")
    raw = {spec.name: spec.zeros() for spec in task.answers.outputs(SPEC)}
    assert task.ordered(raw, raw) is raw


def test_objects_are_shares_of_the_input_and_those_not_judged_are_left_out() -> None:
    boxes = torch.tensor([[16.0, 12, 48, 24], [0, 0, 64, 48], [0, 0, 8, 8], [0, 0, 0, 0]])
    no, yes = torch.tensor(False), torch.tensor(True)
    truth = {
        "boxes": boxes[None],
        "category": torch.tensor([[2, 1, 0, -1]], dtype=torch.int32),
        "crowd": torch.stack([no, yes, no, no])[None],
        "ignore": torch.stack([no, no, yes, no])[None],
    }
    (found,) = targets(truth, torch.tensor([64.0, 48.0]))
    assert found["class_labels"].tolist() == [2]
    torch.testing.assert_close(found["boxes"], torch.tensor([[0.5, 0.375, 0.5, 0.25]]))


def test_divergence_is_nothing_when_student_and_teacher_are_one_in_any_order() -> None:
    raw, other = outputs(3), outputs(3, 1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    turned = {name: values[:, order] for name, values in raw.items()}
    assert float(TASK.learner.divergence(turned, raw, 2.0)) == pytest.approx(0, abs=1e-4)
    assert float(TASK.learner.divergence(other, raw, 2.0)) > 0.1


def test_student_comes_near_its_teacher_when_no_label_is_seen() -> None:
    teacher, student = outputs(3), outputs(3, 1)
    learnt = {name: values.clone().requires_grad_() for name, values in student.items()}
    optimizer = torch.optim.Adam(learnt.values(), 0.05)
    far = []
    for _ in range(60):
        loss = TASK.learner.divergence(learnt, teacher, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        far.append(float(loss.detach()))
    assert far[-1] < 0.2 * far[0]


def test_divergence_is_not_finite_when_outputs_are_not() -> None:
    raw, lost = outputs(2), outputs(2)
    lost[BOXES][0, 0, 0] = torch.nan
    assert not torch.isfinite(TASK.learner.divergence(lost, raw, 2.0))


def test_coding_comes_back_when_the_entry_is_stored() -> None:
    assert Task.open(TASK.entry, CLASSES, "test").params == TASK.params


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"strides": [8]}, r"task: .*strides must be \[\] with the coding queries.*got \[8\]"),
        ({"most_objects": 13}, "most_objects must be at most coding.queries, 12, .*got 13"),
        ({"most_answers": 13}, "most_answers must be at most coding.queries, 12, .*got 13"),
        (
            {"coding": {"method": "queries", "queries": 0}},
            r"task.coding.queries: .*greater than or equal to 1 \(got 0\)",
        ),
        ({"coding": {"method": "queries"}}, "task.coding.queries: missing"),
        (
            {"coding": {"method": "distances"}},
            "strides must not be empty with .* distances",
        ),
        ({"coding": {"method": "query"}}, "one of distances, default_boxes, queries.*queries"),
    ],
)
def test_params_are_refused_in_one_line(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        Task.open({**ENTRY, **changed}, CLASSES, "params.yaml")
    assert "\n" not in str(refused.value)
