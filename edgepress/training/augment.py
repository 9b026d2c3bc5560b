"""Augmentations of whole batches, seeded by step so that a resumed run draws the same ones."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Augment = Literal["none", "shift", "flip_shift"]
"""none; random shift by up to an eighth of the side; the same after a random horizontal flip."""


def augment(batch: Tensor, kind: Augment, generator: torch.Generator) -> Tensor:
    """Augment uint8 or float images [N, C, H, W]; the result has the same shape and type."""
    if kind == "none":
        return batch
    if kind == "flip_shift":
        flip = torch.rand(len(batch), generator=generator) < 0.5
        batch = torch.where(flip.to(batch.device)[:, None, None, None], batch.flip(-1), batch)
    return _shift(batch, generator)


def _shift(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by a whole number of pixels; what comes in from outside is zero."""
    count, _, height, width = batch.shape
    pad = max(1, max(height, width) // 8)
    padded = torch.nn.functional.pad(batch, (pad, pad, pad, pad))
    offsets = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator).to(batch.device)
    rows = offsets[0] + torch.arange(height, device=batch.device)
    columns = offsets[1] + torch.arange(width, device=batch.device)
    images = torch.arange(count, device=batch.device)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
