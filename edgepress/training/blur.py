"""Blur: a share of the pictures is softened by a Gaussian of a width of its own.

As in SimCLR, Chen et al. 2020, https://arxiv.org/abs/2002.05709. Labels stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from edgepress.training.changes import Blur
from edgepress.training.draws import of_key

_REACH = 3.0
"""Deviations that are summed up, either way."""


def blurred(batch: Tensor, blur: Blur, draws: torch.Generator) -> Tensor:
    """Draw and soften a share of the pictures uint8 [N, C, H, W]."""
    own = of_key(draws, "blur")
    lots = torch.rand(2, len(batch), generator=own)
    (rows,) = torch.nonzero(lots[0] < blur.share, as_tuple=True)
    if not len(rows):
        return batch
    least, most = blur.sigma
    rows, sigma = rows.to(batch.device), (least + (most - least) * lots[1, rows]).to(batch.device)
    found = batch.clone()
    found[rows] = softened(batch[rows], sigma)
    return found


def softened(batch: Tensor, sigma: Tensor) -> Tensor:
    """Return uint8 [N, C, H, W] softened by deviations [N] in pixels; borders are mirrored."""
    count, channels, height, width = batch.shape
    most = min(int(_REACH * float(sigma.max()) + 1), height - 1, width - 1)
    away = torch.arange(-most, most + 1, device=batch.device)
    bell = torch.exp(-0.5 * (away / sigma[:, None]).square())
    kernel = (bell / bell.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None]
    values = pad(batch.float(), (most,) * 4, mode="reflect").reshape(1, -1, *_grown(batch, most))
    values = conv2d(values, kernel, groups=count * channels)
    values = conv2d(values, kernel.mT, groups=count * channels)
    return values.round_().clamp_(0, 255).to(batch.dtype).view_as(batch)


def _grown(batch: Tensor, by: int) -> tuple[int, int]:
    return batch.shape[2] + 2 * by, batch.shape[3] + 2 * by
