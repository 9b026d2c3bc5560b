"""Colour changes: brightness, contrast and saturation as one affine map of each picture's channels.

Contrast is about the picture's mean grey, saturation about each pixel's grey (Rec. 601 luma).
Values are cut once, at the end, so that what one step drives out of range another brings back.
Labels stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgepress.training.changes import Changes

_LUMA = (0.299, 0.587, 0.114)


def coloured(batch: Tensor, changes: Changes, generator: torch.Generator) -> Tensor:
    """Draw and apply the changes of each picture of uint8 [N, C, H, W], C being 1 or 3."""
    draws = 2 * torch.rand(3, len(batch), generator=generator) - 1
    if not changes.colours:
        return batch
    reach = torch.tensor([changes.brightness, changes.contrast, changes.saturation])
    bright, contrast, saturation = 1 + draws * reach[:, None]
    return adjusted(batch, bright, contrast, saturation)


def adjusted(batch: Tensor, bright: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Apply three factors [N], 1 being no change, to uint8 [N, C, H, W]."""
    factors = (bright, contrast, saturation)
    bright, contrast, saturation = (each.to(batch.device)[:, None, None] for each in factors)
    channels = batch.shape[1]
    luma = torch.tensor(_LUMA if channels == 3 else (1.0,), device=batch.device)
    pixels = batch.flatten(2).float()
    grey = luma @ pixels.mean(2, keepdim=True)
    own = saturation * torch.eye(channels, device=batch.device)
    mixed = own + (1 - saturation) * luma.expand(channels, channels)
    offset = bright * (1 - contrast) * grey[..., None]
    found = torch.baddbmm(offset, bright * contrast * mixed, pixels)
    return found.round_().clamp_(0, 255).to(batch.dtype).view_as(batch)
