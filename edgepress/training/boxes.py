"""Boxes: parts of pictures, drawn by area and proportions, and the pixels that lie in them.

Where torchvision and timm draw again what does not fit the picture, the proportions to draw from
are here those that fit, so that shares of the area stay as likely as each other.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Shapes(NamedTuple):
    """Boxes to draw from."""

    area: tuple[float, float]
    """Least and most share of the picture's area, each as likely as the next."""
    ratio: tuple[float, float]
    """Narrowest and widest, width by height over that of the picture."""


def drawn(shapes: Shapes, size: tuple[int, int], count: int, draws: torch.Generator) -> Tensor:
    """Draw int64 [count, 4], left, top, width and height, inside of (height, width) pixels."""
    share, shape, across, down = torch.rand(4, count, generator=draws, dtype=torch.float64)
    least, most = shapes.area
    area = least + (most - least) * share
    narrow, wide = (
        torch.full_like(area, each).clamp(area, 1 / area).log() for each in shapes.ratio
    )
    ratio = (narrow + (wide - narrow) * shape).exp()
    height, width = size
    left, columns = _placed(width, (area * ratio).sqrt(), across)
    top, rows = _placed(height, (area / ratio).sqrt(), down)
    return torch.stack([left, top, columns, rows], 1).long()


def inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which pixels of (height, width) lie in boxes [N, 4] as drawn: bool [N, 1, H, W]."""
    left, top, columns, rows = boxes.T[..., None]
    x, y = torch.arange(size[1]), torch.arange(size[0])
    across = (x >= left) & (x < left + columns)
    down = (y >= top) & (y < top + rows)
    found: Tensor = (down[:, :, None] & across[:, None, :])[:, None]
    return found


def _placed(side: int, share: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return first pixel and length of parts of a side, anywhere with even chance."""
    pixels = (side * share).round().clamp(1, side)
    return ((side - pixels + 1) * place).floor(), pixels
