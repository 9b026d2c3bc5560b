"""Colour changes: all of them as one affine map of each picture's channels.

Contrast is about the picture's mean grey, saturation about each pixel's grey (Rec. 601 luma); hue
turns the plane of YIQ's two colours, which keeps a pixel's grey where HSV would change it.
Values are cut once, at the end, so that what one step drives out of range another brings back.
Labels stay as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgepress.training.changes import Changes
from edgepress.training.draws import of_key

_LUMA = (0.299, 0.587, 0.114)
_FEW = 4
"""Pictures changed at a time on the CPU: what is made in between stays in its cache."""
_YIQ = (_LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
"""Rows: grey, orange to blue, purple to green."""


def coloured(batch: Tensor, changes: Changes, generator: torch.Generator) -> Tensor:
    """Draw and apply the changes of each picture of uint8 [N, C, H, W], C being 1 or 3."""
    count = len(batch)
    draws = 2 * torch.rand(3, count, generator=generator) - 1
    if not changes.colours:
        return batch
    reach = torch.tensor([changes.brightness, changes.contrast, changes.saturation])
    bright, contrast, saturation = 1 + draws * reach[:, None]
    turn = 2 * torch.rand(count, generator=of_key(generator, "hue")) - 1
    lost = torch.rand(count, generator=of_key(generator, "grey")) < changes.grey
    saturation = torch.where(lost, 0.0, saturation)
    few = _FEW if batch.device.type == "cpu" else count
    parts = (batch, bright, contrast, saturation, turn * changes.hue)
    each = zip(*(torch.split(part, few) for part in parts), strict=True)
    return torch.cat([adjusted(*some) for some in each])


def adjusted(
    batch: Tensor,
    bright: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor | None = None,
) -> Tensor:
    """Apply three factors [N], 1 being no change, and turns of colours to uint8 [N, C, H, W]."""
    factors = (bright, contrast, saturation)
    bright, contrast, saturation = (each.to(batch.device)[:, None, None] for each in factors)
    channels = batch.shape[1]
    luma = torch.tensor(_LUMA if channels == 3 else (1.0,), device=batch.device)
    pixels = batch.flatten(2).float()
    grey = luma @ pixels.mean(2, keepdim=True)
    own = saturation * torch.eye(channels, device=batch.device)
    mixed = own + (1 - saturation) * luma.expand(channels, channels)
    if hue is not None and channels == 3 and hue.any():
        mixed = mixed @ _turned(hue).to(batch.device)
    offset = bright * (1 - contrast) * grey[..., None]
    found = torch.baddbmm(offset, bright * contrast * mixed, pixels)
    return found.round_().clamp_(0, 255).to(batch.dtype).view_as(batch)


def _turned(hue: Tensor) -> Tensor:
    """Return [N, 3, 3] that turn colours by shares [N] of the circle; red goes to green to blue."""
    yiq = torch.tensor(_YIQ, dtype=torch.float64)
    angle = -2 * math.pi * hue.double()
    cos, sin, none, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = ((one, none, none), (none, cos, -sin), (none, sin, cos))
    turn = torch.stack([torch.stack(row, -1) for row in rows], -2)
    found: Tensor = torch.linalg.inv(yiq) @ turn @ yiq
    return found.float()
