from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from edgepress.data.placement import LETTERBOX
from edgepress.tasks.task import Task
from edgepress.training.affine import Affine, drawn
from edgepress.training.changes import Changes

HEIGHT, WIDTH = 48, 64
BOXES = Task.open(
    {
        "method": "detection",
        "strides": [8],
        "most_objects": 2,
        "most_answers": 10,
        "least_score": 0.05,
        "overlap": 0.6,
        "sure": 0.4,
    },
    ("a", "b"),
    "test",
)
MASKS = Task.open(
    {"method": "segmentation", "ignore_index": 255, "argmax": False}, ("a", "b"), "test"
)


def changes(**named: Any) -> Changes:
    return Changes.model_validate(named)


def warp(named: Changes, seed: int, count: int = 3, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Any:
    shape = torch.Size([count, 1, *size])
    return drawn(named, shape, torch.Generator().manual_seed(seed))


def still(count: int = 3) -> Affine:
    return Affine(torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), None, HEIGHT, WIDTH)


def noise(count: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, channels, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


MIXED = st.builds(
    changes,
    flip=st.floats(0, 1),
    shift=st.floats(0, 0.3),
    scale=st.tuples(st.floats(0.5, 1), st.floats(1, 2)),
    rotate=st.floats(0, 180),
)
SEEDS = st.integers(0, 10_000)


def test_nothing_changes_when_the_matrix_is_the_identity() -> None:
    by, batch = still(), noise(3)
    places = torch.rand(3, 4, 2) * 64
    assert torch.equal(by.pictures(batch), batch)
    assert torch.equal(by.move(batch, 9), batch)
    assert torch.equal(by.points(places), places)


@settings(max_examples=25, deadline=None)
@given(MIXED, SEEDS)
def test_points_come_back_when_moved_there_and_back(named: Changes, seed: int) -> None:
    by = warp(named, seed)
    places = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(seed)).double() * 64
    back = Affine(by.matrix.inverse(), None, HEIGHT, WIDTH)
    assert torch.allclose(back.points(by.points(places)), places, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(MIXED, SEEDS)
def test_draws_repeat_when_the_generator_is_seeded_alike(named: Changes, seed: int) -> None:
    first, again, other = (warp(named, each) for each in (seed, seed, seed + 1))
    assert torch.equal(first.matrix, again.matrix)
    assert torch.equal(first.pictures(noise(3, 1)), again.pictures(noise(3, 1)))
    assert not (named.rotate > 1 and torch.equal(first.matrix, other.matrix))


def test_draws_stay_when_another_key_is_added() -> None:
    alone, both = warp(changes(shift=0.2), 4, 64), warp(changes(shift=0.2, flip=0.5), 4, 64)
    assert 16 < both.flip.sum() < 48
    assert torch.equal(alone.matrix[~both.flip], both.matrix[~both.flip])


@settings(max_examples=25, deadline=None)
@given(MIXED, SEEDS)
def test_draws_keep_to_their_bounds(named: Changes, seed: int) -> None:
    by = warp(named, seed, 50)
    linear = by.matrix[:, :2, :2]
    size = linear.det().abs().sqrt()
    assert ((size >= named.scale[0] - 1e-9) & (size <= named.scale[1] + 1e-9)).all()
    mirrored = linear.det() < 0
    assert torch.equal(mirrored, torch.zeros(50, dtype=bool) if by.flip is None else by.flip)
    angle = torch.atan2(-linear[:, 0, 1], linear[:, 1, 1]).rad2deg()
    assert (angle.abs() <= named.rotate + 1e-6).all()
    middle = torch.tensor([[[WIDTH / 2, HEIGHT / 2]]], dtype=torch.float64).expand(50, 1, 2)
    off = (by.points(middle) - middle).abs() / torch.tensor([WIDTH, HEIGHT])
    assert (off <= named.shift + 1e-9).all()


def test_mirror_equals_torch_flip_when_nothing_else_changes() -> None:
    by, batch = warp(changes(flip=1.0), 0), noise(3)
    assert torch.equal(by.pictures(batch), batch.flip(-1))
    assert torch.equal(by.move(batch, 0), batch.flip(-1))


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.5), (30.0, 1.0), (-75.0, 0.7), (90.0, 1.0)])
def test_pictures_equal_torchvision_when_turned_and_scaled(angle: float, scale: float) -> None:
    turn = math.radians(angle)
    linear = scale * torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64
    )
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2], dtype=torch.float64)
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, :2], matrix[:2, 2] = linear, middle - linear @ middle + torch.tensor([5.0, -3.0])
    by, batch = Affine(matrix[None], None, HEIGHT, WIDTH), noise(1)
    theirs = v2.functional.affine(
        batch,
        angle=angle,
        translate=[5, -3],
        scale=scale,
        shear=[0.0, 0.0],
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=[LETTERBOX] * 3,
    )
    outside = by.move(torch.zeros(1, 1, HEIGHT, WIDTH), 1)
    inside = (torch.nn.functional.max_pool2d(outside, 5, 1, 2) == 0).expand(-1, 3, -1, -1)
    off = (by.pictures(batch).int() - theirs.int()).abs()[inside]
    assert inside.float().mean() > 0.3
    assert off.max() <= 2
    assert off.float().mean() < 0.03  # ties are rounded otherwise


def test_outside_is_the_letterbox_grey_when_a_picture_shrinks() -> None:
    by = warp(changes(scale=[0.5, 0.5]), 0)
    moved = by.pictures(noise(3))
    outside = by.move(torch.zeros(3, 1, HEIGHT, WIDTH), 1)[:, 0] == 1
    assert 0.74 < outside.float().mean() < 0.76
    assert (moved.movedim(1, -1)[outside] == LETTERBOX).all()


def bright(rows: slice, columns: slice, count: int) -> torch.Tensor:
    picture = torch.zeros(count, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    picture[..., rows, columns] = 255
    return picture


def shown(pictures: torch.Tensor, by: Affine) -> torch.Tensor:
    """Return which pixels are more bright than not, without the grey that came in."""
    inside = by.move(torch.ones_like(pictures), 0) == 1
    return (pictures >= 128) & inside


@settings(max_examples=40, deadline=None)
@given(MIXED, SEEDS)
def test_boxes_follow_their_pixels_when_the_picture_is_moved(named: Changes, seed: int) -> None:
    by = warp(named, seed)
    box = torch.tensor([20.0, 14.0, 44.0, 34.0])
    truth = {
        "boxes": torch.stack([box, torch.zeros(4)]).repeat(3, 1, 1),
        "category": torch.tensor([[1, -1]] * 3, dtype=torch.int32),
    }
    moved = BOXES.learner.warp(truth, by)
    seen = shown(by.pictures(bright(slice(14, 34), slice(20, 44), 3)), by)
    for index in range(3):
        rows, columns = torch.nonzero(seen[index, 0], as_tuple=True)
        if moved["category"][index, 0] < 0:
            assert len(rows) < 0.5 * 20 * 24 * named.scale[1] ** 2
            continue
        x0, y0, x1, y1 = moved["boxes"][index, 0].tolist()
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # A turned corner is thinner than a pixel: the pixels may end up to two before it.
        assert np.allclose([x0, y0, x1, y1], [float(each) for each in found], atol=2.0)
        over = [x0 - found[0], y0 - found[1], found[2] - x1, found[3] - y1]
        assert max(over) <= 0.6


def test_box_grows_to_its_corners_when_it_is_turned() -> None:
    by = Affine(_turned(45.0), None, HEIGHT, WIDTH)
    truth = {
        "boxes": torch.tensor([[[27.0, 19.0, 37.0, 29.0]]]),
        "category": torch.tensor([[0]], dtype=torch.int32),
    }
    x0, y0, x1, y1 = BOXES.learner.warp(truth, by)["boxes"][0, 0].tolist()
    half = 5 * math.sqrt(2)
    assert [x0, y0, x1, y1] == pytest.approx([32 - half, 24 - half, 32 + half, 24 + half])


def _turned(degrees: float) -> torch.Tensor:
    turn = math.radians(degrees)
    matrix = torch.eye(3, dtype=torch.float64)
    linear = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2], dtype=torch.float64)
    matrix[:2, :2] = linear
    matrix[:2, 2] = middle - linear.double() @ middle
    return matrix[None]


@settings(max_examples=25, deadline=None)
@given(MIXED, SEEDS)
def test_masks_follow_their_pixels_when_the_picture_is_moved(named: Changes, seed: int) -> None:
    by = warp(named, seed)
    picture = bright(slice(10, 40), slice(16, 50), 3)
    moved = MASKS.learner.warp({"mask": picture[:, 0] // 255}, by)["mask"]
    pictures = by.pictures(picture)[:, 0]
    assert set(moved.unique().tolist()) <= {0, 1, 255}
    judged = moved != 255
    assert (moved[judged & (pictures == 255)] == 1).all()
    assert (moved[judged & (pictures == 0)] == 0).all()
    wrong = judged & ((moved == 1) != (pictures >= 128)) & (pictures != LETTERBOX)
    assert wrong.float().mean() < 0.05  # the edge, where bilinear and nearest part


@settings(max_examples=25, deadline=None)
@given(MIXED, SEEDS)
def test_points_follow_their_pixels_when_the_picture_is_moved(named: Changes, seed: int) -> None:
    by = warp(named, seed)
    picture = bright(slice(22, 27), slice(28, 35), 3)
    where = by.points(torch.tensor([[[31.5, 24.5]]]).expand(3, 1, 2))[:, 0]
    moved = by.pictures(picture)[:, 0].float()
    outside = by.move(torch.zeros(3, 1, HEIGHT, WIDTH), 1)
    # The pixels of the border are part grey.
    inside = torch.nn.functional.max_pool2d(outside, 3, 1, 1)[:, 0] == 0
    for index in range(3):
        x, y = where[index].tolist()
        if not (16 < x < WIDTH - 16 and 16 < y < HEIGHT - 16):
            continue  # part of the thing is cut off
        rows, columns = torch.meshgrid(
            torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij"
        )
        near = (rows - y).abs().maximum((columns - x).abs()) < 12
        weight = moved[index] * inside[index] * near
        found = [float((weight * each).sum() / weight.sum()) for each in (columns, rows)]
        assert found == pytest.approx([x, y], abs=0.3)
