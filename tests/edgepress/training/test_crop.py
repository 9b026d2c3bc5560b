from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from edgepress.tasks.task import Task
from edgepress.training.affine import Affine
from edgepress.training.augment import draw
from edgepress.training.boxes import Shapes, drawn
from edgepress.training.changes import Changes
from edgepress.training.crop import Cropped

HEIGHT, WIDTH = 48, 64
SHAPE = torch.Size([6, 3, HEIGHT, WIDTH])
SEEDS = st.integers(0, 10_000)
AREAS = st.tuples(st.floats(0.05, 0.5), st.floats(0.5, 1))
POINTS = Task.open(
    {
        "method": "keypoints",
        "form": "heatmap",
        "stride": 4,
        "blur": 1.5,
        "points": ["left", "right"],
        "swaps": [["left", "right"]],
        "sigmas": 0.1,
        "tolerance": 0.1,
        "sure": 0.5,
    },
    ("a",),
    "test",
)
MASKS = Task.open(
    {"method": "segmentation", "ignore_index": 255, "argmax": False}, ("a", "b"), "test"
)


def noise() -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    batch = torch.randint(0, 256, SHAPE, generator=draws, dtype=torch.uint8)
    return batch.contiguous(memory_format=torch.channels_last)


def warp(seed: int, **named: Any) -> Any:
    changes = Changes.model_validate(named)
    return draw(changes, SHAPE, torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(SEEDS, AREAS, st.tuples(st.floats(0.3, 1), st.floats(1, 3)))
def test_parts_keep_to_their_bounds_and_to_the_picture(
    seed: int, area: tuple[float, float], ratio: tuple[float, float]
) -> None:
    boxes = drawn(
        Shapes(area, ratio), (400, 300), 200, torch.Generator().manual_seed(seed)
    ).double()
    left, top, width, height = boxes.unbind(1)
    assert (boxes[:, :2] >= 0).all()
    assert ((left + width <= 300) & (top + height <= 400)).all()
    share, shape = width * height / (300 * 400), (width / 300) / (height / 400)
    assert ((share >= area[0] * 0.96) & (share <= min(1.0, area[1] * 1.04))).all()
    assert ((shape >= ratio[0] * 0.96) & (shape <= ratio[1] * 1.04)).all()
    assert float(share.std()) > 0.2 * (area[1] - area[0])


def test_parts_lie_anywhere_when_many_are_drawn() -> None:
    boxes = drawn(Shapes((0.25, 0.25), (1, 1)), (20, 20), 5000, torch.Generator().manual_seed(0))
    for axis in (0, 1):
        counts = torch.bincount(boxes[:, axis], minlength=11)
        assert len(counts) == 11
        assert counts.min() > 380  # of 455
        assert counts.max() < 530


def test_nothing_changes_when_the_part_is_the_whole() -> None:
    by, batch = warp(0, crop={"area": [1, 1]}), noise()
    assert torch.equal(by.pictures(batch), batch)
    assert torch.equal(by.move(batch), batch)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_pictures_equal_torchvision_when_they_are_cropped(seed: int) -> None:
    by, batch = warp(seed, crop={"area": [0.1, 0.9]}), noise()
    moved = by.pictures(batch)
    assert moved.shape == batch.shape
    assert moved.dtype == torch.uint8
    for before, after, (left, top, width, height) in zip(
        batch, moved, by.boxes.tolist(), strict=True
    ):
        theirs = v2.functional.resized_crop(before, top, left, height, width, [HEIGHT, WIDTH])
        assert (after.int() - theirs.int()).abs().max() <= 1


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_matrices_say_what_the_pixels_do_when_pictures_are_mirrored_too(seed: int) -> None:
    by, batch = warp(seed, crop={"area": [0.3, 0.9]}, flip=0.5), noise()
    assert isinstance(by, Cropped)
    inner = (..., slice(4, -4), slice(4, -4))
    off = (by.pictures(batch).int() - by.by.pictures(batch).int())[inner].abs()
    assert off.max() <= 1


def test_crop_comes_before_the_rest_when_pictures_are_turned_too() -> None:
    both = warp(5, crop={"area": [0.3, 0.9]}, rotate=20, shift=0.1, flip=0.5)
    crop, turn = warp(5, crop={"area": [0.3, 0.9]}), warp(5, rotate=20, shift=0.1, flip=0.5)
    assert isinstance(both, Affine)
    assert torch.allclose(both.matrix, turn.matrix @ crop.by.matrix)
    assert torch.equal(both.flip, turn.flip)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_points_and_masks_follow_their_pixels_when_pictures_are_cropped(seed: int) -> None:
    by = warp(seed, crop={"area": [0.3, 1.0]}, flip=0.5)
    pictures = torch.zeros(SHAPE, dtype=torch.uint8)
    pictures[:, :, 20:29, 30:39] = 255
    mask = MASKS.learner.warp({"mask": pictures[:, 0] // 255}, by)["mask"]
    moved = by.pictures(pictures)
    assert set(mask.unique().tolist()) <= {0, 1}
    assert ((mask == 1) == (moved[:, 0] >= 128)).float().mean() > 0.97
    truth = {
        "points": torch.tensor([[[34.5, 24.5], [34.5, 24.5]]]).repeat(6, 1, 1),
        "visible": torch.tensor([[2, 1]]).repeat(6, 1),
    }
    found = POINTS.learner.warp(truth, by)
    for index in range(6):
        if not (found["visible"][index] > 0).all():
            continue
        flipped = bool(by.flip[index])
        assert found["visible"][index].tolist() == ([1, 2] if flipped else [2, 1])
        x, y = found["points"][index, 0].tolist()
        if not (12 < x < WIDTH - 12 and 12 < y < HEIGHT - 12):
            continue
        rows, columns = torch.nonzero(mask[index], as_tuple=True)
        assert [float(columns.float().mean()) + 0.5, float(rows.float().mean()) + 0.5] == (
            pytest.approx([x, y], abs=1.0)
        )


def test_draws_hang_on_no_other_key() -> None:
    alone, both = warp(9, crop={"area": [0.2, 1]}), warp(9, crop={"area": [0.2, 1]}, flip=0.5)
    assert torch.equal(alone.boxes, both.boxes)
    assert torch.equal(warp(9, flip=0.5).flip, both.flip)
    assert not torch.equal(alone.boxes, warp(10, crop={"area": [0.2, 1]}).boxes)
