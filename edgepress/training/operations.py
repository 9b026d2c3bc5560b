"""Operations that policies draw from: each changes a picture's values, or moves it, by an amount.

The fourteen of RandAugment, https://arxiv.org/abs/1909.13719, as Pillow's ImageOps and ImageEnhance
define them; those that move do so about the picture's middle and are matrices, so that labels move
too. An amount is a share of an operation's reach, -1 to 1; where the sign says nothing, it is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from edgepress.training.colour import adjusted

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)


class Reach(NamedTuple):
    """What an amount of 1 means."""

    shear: float
    """Pixels across for one down, or down for one across."""
    translate: float
    """Share of the side."""
    rotate: float
    """Degrees."""
    enhance: float
    """Distance of the factor of brightness, saturation, contrast and sharpness from 1."""
    bits: tuple[int, int]
    """Bits of each value that posterize leaves, at an amount of 0 and of 1."""


def matrices(kinds: Tensor, amounts: Tensor, size: tuple[int, int], reach: Reach) -> Tensor:
    """Return how operations, int64 [N], move pictures of (height, width): float64 [N, 3, 3]."""

    def of(name: str, most: float) -> Tensor:
        return torch.where(kinds == OPERATIONS.index(name), amounts.double() * most, 0.0)

    height, width = size
    turn = of("rotate", math.radians(reach.rotate))
    across, down = of("shear_x", reach.shear), of("shear_y", reach.shear)
    found = torch.eye(3, dtype=torch.float64).repeat(len(kinds), 1, 1)
    rows = [turn.cos(), across - turn.sin()], [down + turn.sin(), turn.cos()]
    found[:, :2, :2] = torch.stack([torch.stack(row, -1) for row in rows], 1)
    middle = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    off = [of("translate_x", reach.translate * width), of("translate_y", reach.translate * height)]
    found[:, :2, 2] = middle + torch.stack(off, -1) - found[:, :2, :2] @ middle
    return found


def changed(batch: Tensor, kinds: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Return uint8 [N, C, H, W] with the values changed by operations [N], each by its amount."""
    batch = batch.clone()
    for name, way in _VALUES.items():
        (rows,) = torch.nonzero(kinds == OPERATIONS.index(name), as_tuple=True)
        if len(rows):
            rows = rows.to(batch.device)
            batch[rows] = way(batch[rows], amounts.float().to(batch.device)[rows], reach)
    return batch


def brightness(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Multiply every value."""
    one = torch.ones_like(amounts)
    return adjusted(batch, 1 + amounts * reach.enhance, one, one)


def saturation(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Multiply every pixel's distance from its grey."""
    one = torch.ones_like(amounts)
    return adjusted(batch, one, one, 1 + amounts * reach.enhance)


def contrast(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Multiply every pixel's distance from the picture's mean grey."""
    one = torch.ones_like(amounts)
    return adjusted(batch, one, 1 + amounts * reach.enhance, one)


def sharpness(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Multiply every value's distance from a mean of 3 x 3, the middle five times; borders stay."""
    if min(batch.shape[2:]) < 3:
        return batch
    values = batch.float()
    # Sums of slices: a convolution of one channel takes ten times as long.
    across = values[..., :-2] + values[..., 1:-1] + values[..., 2:]
    inner = values[..., 1:-1, 1:-1]
    soft = across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :]
    soft = soft.add_(inner, alpha=4).div_(13).round_()
    factor = (1 + amounts * reach.enhance)[:, None, None, None]
    inner.sub_(soft).mul_(factor).add_(soft)
    return values.round_().clamp_(0, 255).to(batch.dtype)


def posterize(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:
    """Keep the upper bits of every value."""
    most, least = reach.bits
    bits = (most + (least - most) * amounts.abs()).round().to(torch.int64)
    mask = (256 - (1 << (8 - bits))).to(batch.dtype)
    return batch & mask[:, None, None, None]


def solarize(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:  # noqa: ARG001
    """Turn values into their negative from a threshold on: 255 at an amount of 0, 0 at 1."""
    threshold = (255 * (1 - amounts.abs()))[:, None, None, None]
    return torch.where(batch >= threshold, 255 - batch, batch)


def autocontrast(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:  # noqa: ARG001
    """Stretch every channel to the whole range; one of a single value stays."""
    values = batch.flatten(2).float()
    low, high = values.amin(2, keepdim=True), values.amax(2, keepdim=True)
    factor = torch.where(low == high, 1.0, 255 / (high - low))
    low = torch.where(low == high, 0.0, low)
    return values.sub_(low).mul_(factor).round_().to(batch.dtype).view_as(batch)


def equalize(batch: Tensor, amounts: Tensor, reach: Reach) -> Tensor:  # noqa: ARG001
    """Make every range of a channel's values as frequent as any other of its width."""
    values = batch.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=batch.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    below = counts.cumsum(2) - counts
    highest = batch.amax((2, 3)).long()[..., None]
    # Pillow's steps: the highest value present has no share in them.
    step = below.gather(2, highest) // 255
    levels = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    found = levels.to(batch.dtype).gather(2, values).view_as(batch)
    return torch.where(step[..., None] > 0, found, batch)


_VALUES: dict[str, Callable[[Tensor, Tensor, Reach], Tensor]] = {
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}
