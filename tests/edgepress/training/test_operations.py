from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as their

from edgepress.training.affine import Affine
from edgepress.training.operations import OPERATIONS, Reach, changed, matrices

REACH = Reach(shear=0.4, translate=0.25, rotate=40, enhance=0.9, bits=(8, 1))
HEIGHT, WIDTH = 40, 56
AMOUNTS = (-1.0, -0.4, 0.0, 0.3, 1.0)


def photograph(count: int, channels: int = 3) -> torch.Tensor:
    """Return smooth pictures of few and of many levels, each channel its own."""
    draws = torch.Generator().manual_seed(2)
    coarse = torch.rand(count, channels, 6, 8, generator=draws) * 200 + 20
    smooth = torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic")
    grain = torch.rand(count, channels, HEIGHT, WIDTH, generator=draws) * 12
    return (smooth + grain).clamp(0, 255).to(torch.uint8)


def alike(name: str, count: int) -> torch.Tensor:
    return torch.full((count,), OPERATIONS.index(name))


THEIRS: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "identity": lambda picture, _: picture,
    "brightness": lambda picture, x: their.adjust_brightness(picture, 1 + 0.9 * x),
    "saturation": lambda picture, x: their.adjust_saturation(picture, 1 + 0.9 * x),
    "contrast": lambda picture, x: their.adjust_contrast(picture, 1 + 0.9 * x),
    "sharpness": lambda picture, x: their.adjust_sharpness(picture, 1 + 0.9 * x),
    "posterize": lambda picture, x: their.posterize(picture, round(8 - 7 * abs(x))),
    "solarize": lambda picture, x: their.solarize(picture, 255 * (1 - abs(x))),
    "autocontrast": lambda picture, _: their.autocontrast(picture),
    "equalize": lambda picture, _: their.equalize(picture),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", THEIRS)
def test_values_equal_torchvision_to_a_grey_level(name: str, channels: int) -> None:
    batch = photograph(len(AMOUNTS), channels)
    before = batch.clone()
    ours = changed(batch, alike(name, len(batch)), torch.tensor(AMOUNTS), REACH)
    theirs = torch.stack([THEIRS[name](*each) for each in zip(batch, AMOUNTS, strict=True)])
    # torchvision cuts the fractions of greys off, and those of what it blends with them.
    bound = 2 if name in ("saturation", "contrast") else 1
    assert (ours.int() - theirs.int()).abs().max() <= bound
    assert torch.equal(batch, before)
    assert name in ("identity", "saturation") or not torch.equal(ours, batch)


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "sharpness"])
def test_flat_pictures_stay(name: str) -> None:
    flat = torch.full((2, 3, HEIGHT, WIDTH), 77, dtype=torch.uint8)
    flat[:, :, 0, 0] = 80  # so few of them that no step is left, in equalize
    ones = flat[:, :, 1:]
    assert torch.equal(changed(ones, alike(name, 2), torch.ones(2), REACH), ones)
    if name == "equalize":
        few = torch.full((1, 1, 3, 3), 9, dtype=torch.uint8)
        few[..., 0, 0] = 200
        assert torch.equal(changed(few, alike(name, 1), torch.ones(1), REACH), few)


def test_each_picture_has_its_own_operation() -> None:
    batch = photograph(len(OPERATIONS))
    kinds, amounts = torch.arange(len(OPERATIONS)), torch.full((len(OPERATIONS),), 0.5)
    found = changed(batch, kinds, amounts, REACH)
    for index, name in enumerate(OPERATIONS):
        alone = changed(batch[index : index + 1], kinds[index : index + 1], amounts[:1], REACH)
        assert torch.equal(found[index], alone[0]), name
        assert torch.equal(found[index], batch[index]) is (name not in THEIRS or index == 0)


@pytest.mark.parametrize("amount", [-1.0, 0.5])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
def test_moves_equal_torchvision_to_a_grey_level(name: str, amount: float) -> None:
    batch = photograph(1)
    size = (HEIGHT, WIDTH)
    by = Affine(matrices(alike(name, 1), torch.tensor([amount]), size, REACH), None, *size)
    slant = math.degrees(math.atan(0.4 * amount))
    shear = {"shear_x": [-slant, 0.0], "shear_y": [0.0, -slant]}.get(name, [0.0, 0.0])
    shift = {"translate_x": [WIDTH * amount / 4, 0], "translate_y": [0, HEIGHT * amount / 4]}
    theirs = their.affine(
        batch,
        angle=40 * amount if name == "rotate" else 0.0,
        translate=[round(each) for each in shift.get(name, [0, 0])],
        scale=1.0,
        shear=shear,
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    outside = by.move(torch.zeros(batch.shape), 1)
    inside = torch.nn.functional.max_pool2d(outside, 5, 1, 2) == 0
    inside[..., [0, -1], :] = inside[..., [0, -1]] = False
    assert inside.float().mean() > 0.4
    off = (by.pictures(batch).int() - theirs.int()).abs()[inside]
    assert off.max() <= 1
    assert (by.pictures(batch) != batch).float().mean() > 0.3


def test_nothing_moves_when_the_operation_changes_values() -> None:
    kinds = torch.tensor([OPERATIONS.index(name) for name in THEIRS])
    found = matrices(kinds, torch.ones(len(kinds)), (HEIGHT, WIDTH), REACH)
    assert torch.equal(found, torch.eye(3, dtype=torch.float64).expand_as(found))
