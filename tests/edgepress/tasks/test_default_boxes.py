"""Default boxes against torchvision's own: places, codes, matches, losses and answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image

from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.tasks.detection.codings import default_boxes
from edgepress.tasks.detection.learning.default_boxes import matched
from edgepress.tasks.task import Task

SPEC = InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
CODING: dict[str, Any] = {
    "method": "default_boxes",
    "ratios": [2.0, 3.0],
    "least": 0.2,
    "most": 0.95,
}
ENTRY: dict[str, Any] = {
    "method": "detection",
    "strides": [8, 16, 32],
    "most_objects": 6,
    "most_answers": 50,
    "least_score": 0.05,
    "overlap": 0.55,
    "sure": 0.3,
    "coding": CODING,
}
CLASSES = ("cell", "wall", "seed")
TASK = Task.open(ENTRY, CLASSES, "test")
SIZES = ((6, 8), (3, 4), (2, 2))
GRIDS = tuple((stride, *size) for stride, size in zip((8, 16, 32), SIZES, strict=True))
CODER = BoxCoder((10.0, 10.0, 5.0, 5.0))


def plain() -> torch.Tensor:
    """Return torchvision's default boxes as corners, in its order."""
    generator = DefaultBoxGenerator([[2, 3]] * 3, min_ratio=0.2, max_ratio=0.95)
    image = ImageList(torch.zeros(1, 1, 48, 64), [(48, 64)])
    return generator(image, [torch.zeros(1, 1, *size) for size in SIZES])[0]


def outputs(items: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        spec.name: torch.randn(items, *spec.shape[1:], generator=generator) * 2
        for spec in TASK.learner.outputs(SPEC)
    }


def theirs(found: dict[str, torch.Tensor], name: str, each: int) -> torch.Tensor:
    """Return maps [N, A * each, h, w] as torchvision has them: [N, places * A, each]."""
    maps = [found[f"{name}_{stride}"] for stride in (8, 16, 32)]
    return torch.cat(
        [
            m.reshape(len(m), 6, each, -1).permute(0, 3, 1, 2).reshape(len(m), -1, each)
            for m in maps
        ],
        1,
    )


def in_their_order(rows: torch.Tensor) -> torch.Tensor:
    """Return rows [A, ...] in our order, box by box of a level, in theirs, place by place."""
    parts = rows.split([6 * h * w for h, w in SIZES])
    return torch.cat([p.reshape(6, -1, *p.shape[1:]).transpose(0, 1).flatten(0, 1) for p in parts])


def test_maps_hold_a_code_and_all_classes_and_nothing_for_each_box() -> None:
    shapes = [spec.shape for spec in TASK.answers.outputs(SPEC)]
    assert shapes == [(1, c, *size) for size in SIZES for c in (24, 24)]


def test_places_are_torchvisions() -> None:
    ours = np.concatenate(default_boxes.placed(GRIDS, TASK.params.coding))  # type: ignore[attr-defined]
    corners = np.concatenate([ours[:, :2] - ours[:, 2:] / 2, ours[:, :2] + ours[:, 2:] / 2], 1)
    found = in_their_order(torch.from_numpy(corners))
    torch.testing.assert_close(found, plain(), atol=1e-4, rtol=1e-5)


def test_answers_are_torchvisions_when_outputs_are_any() -> None:
    raw = outputs(1)
    scores = theirs(raw, "scores", 4)[0].softmax(-1)[:, 1:]
    every = CODER.decode_single(theirs(raw, "boxes", 4)[0], plain())
    every = clip_boxes_to_image(every, (48, 64))
    place, category = torch.nonzero(scores > 0.05, as_tuple=True)
    each, sure = every[place], scores[place, category]
    there = (each[:, 2:] > each[:, :2]).all(1)
    each, sure, category = each[there], sure[there], category[there]
    stay = batched_nms(each, sure, category, 0.55)[:50]
    found = TASK.answers.decode({n: v.numpy() for n, v in raw.items()}, SPEC)
    count = len(stay)
    assert count > 20
    assert found["category"][0, :count].tolist() == category[stay].tolist()
    assert np.allclose(found["boxes"][0, :count], each[stay].numpy(), atol=1e-3)
    assert np.allclose(found["scores"][0, :count], sure[stay].numpy(), atol=1e-6)


def truth() -> dict[str, torch.Tensor]:
    boxes = torch.zeros(2, 6, 4)
    boxes[0, :2] = torch.tensor([[2.0, 4, 22, 20], [30, 10, 60, 44]])
    boxes[1, 0] = torch.tensor([40.0, 2, 44, 6])  # too small for any default box
    category = torch.full((2, 6), -1)
    category[0, :2], category[1, 0] = torch.tensor([1, 2]), 0
    none = torch.zeros(2, 6, dtype=torch.bool)
    return {"boxes": boxes, "category": category, "crowd": none, "ignore": none}


def test_loss_is_torchvisions_when_outputs_are_any() -> None:
    raw, wanted, anchors = outputs(2), truth(), plain()
    counts = [2, 1]
    targets = [
        {"boxes": wanted["boxes"][i, :n], "labels": wanted["category"][i, :n] + 1}
        for i, n in enumerate(counts)
    ]
    matches = [SSDMatcher(0.5)(box_iou(each["boxes"], anchors)) for each in targets]
    head = {"bbox_regression": theirs(raw, "boxes", 4), "cls_logits": theirs(raw, "scores", 4)}
    ssd = SimpleNamespace(box_coder=CODER, neg_to_pos_ratio=3.0)
    expected = SSD.compute_loss(ssd, targets, head, [anchors] * 2, matches)
    ours = np.concatenate(default_boxes.placed(GRIDS, TASK.params.coding))  # type: ignore[attr-defined]
    corners = torch.from_numpy(
        np.concatenate([ours[:, :2] - ours[:, 2:] / 2, ours[:, :2] + ours[:, 2:] / 2], 1)
    )
    match = matched(wanted, corners)
    for row in range(2):
        assert torch.equal(in_their_order(match[row]).clamp(min=-1), matches[row].clamp(min=-1))
    found = TASK.learner.loss(raw, wanted)
    torch.testing.assert_close(found["box_loss"], expected["bbox_regression"])
    torch.testing.assert_close(found["confidence_loss"], expected["classification"])


def test_boxes_in_a_crowd_are_no_negatives() -> None:
    wanted = truth()
    wanted["boxes"][0, 2] = torch.tensor([0.0, 0, 64, 48])
    wanted["category"][0, 2] = 1
    raw = {name: values.requires_grad_() for name, values in outputs(2).items()}
    wanted["crowd"] = wanted["crowd"].clone()
    wanted["crowd"][0, 2] = True
    TASK.learner.loss(raw, wanted)["loss"].backward()
    learns = sum(
        int((v.grad[0].reshape(6, 4, -1).abs().sum(1) > 0).sum())
        for name, v in raw.items()
        if name.startswith("scores") and v.grad is not None
    )
    near = box_iou(wanted["boxes"][0, :2], plain())
    assert learns == int((near.amax(0) >= 0.5).sum().clamp(min=2))


def test_divergence_is_nothing_when_student_and_teacher_are_one() -> None:
    raw = outputs(2)
    other = outputs(2, 1)
    assert float(TASK.learner.divergence(raw, raw, 2.0)) == pytest.approx(0, abs=1e-5)
    assert float(TASK.learner.divergence(other, raw, 2.0)) > 0.1


def test_coding_comes_back_when_the_entry_is_stored() -> None:
    assert Task.open(TASK.entry, CLASSES, "test").params == TASK.params
    old = {name: value for name, value in ENTRY.items() if name != "coding"}
    assert Task.open(old, CLASSES, "test").entry["coding"] == {"method": "distances"}


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ({**CODING, "most": 0.1}, "task.coding: .*most must be above least, got 0.1 and 0.2"),
        ({**CODING, "ratios": [0.5]}, r"task.coding.ratios.0: .*greater than 1 \(got 0.5\)"),
        ({**CODING, "steps": 1}, "task.coding.steps: unknown key; known: method, ratios, least"),
        ({"method": "distances", "least": 1}, "task.coding.least: unknown key; known: method$"),
        (
            {"method": "default_box"},
            "task.coding: .*one of distances, default_boxes.*default_boxes",
        ),
        ("distances", "task.coding: .*expected a mapping whose method is one of"),
    ],
)
def test_coding_is_refused_in_one_line(coding: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        Task.open({**ENTRY, "coding": coding}, CLASSES, "params.yaml")
    assert "\n" not in str(refused.value)
