"""Erase: a box of a picture is filled with its mean colour or with noise.

Zhong et al. 2017, "Random Erasing Data Augmentation", https://arxiv.org/abs/1708.04896. Labels stay
as they are: what is hidden is still there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgepress.training.boxes import Shapes, drawn
from edgepress.training.changes import Erase
from edgepress.training.draws import of_key

_RATIO = (0.3, 3.3)
"""As in the paper and in torchvision."""


def erased(batch: Tensor, erase: Erase, draws: torch.Generator) -> Tensor:
    """Draw and fill a box in a share of the pictures uint8 [N, C, H, W]."""
    own = of_key(draws, "erase")
    count, channels, height, width = batch.shape
    chosen = torch.rand(count, generator=own) < erase.share
    boxes = drawn(Shapes(erase.area, _RATIO), (height, width), count, own)
    noise = torch.randint(256, (channels, height, width), generator=own).to(batch)
    found = batch.clone()
    for row in torch.nonzero(chosen)[:, 0].tolist():
        left, top, columns, rows = boxes[row].tolist()
        part = (slice(None), slice(top, top + rows), slice(left, left + columns))
        mean = batch[row].float().mean((1, 2), keepdim=True).round()
        found[(row, *part)] = mean.to(batch.dtype) if erase.fill == "mean" else noise[part]
    return found
