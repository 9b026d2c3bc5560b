"""Affine warps: one matrix a picture moves its pixels, its mask and its points alike.

Places are continuous, in pixels from the corner of the first pixel, so that the middle of a pixel
is at one half: what `torch.nn.functional.grid_sample` means by `align_corners=False`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from edgepress.data.placement import LETTERBOX
from edgepress.training.changes import Changes

_FEW = 4
"""Pictures sampled at a time on the CPU: what is made in between stays in its cache."""


@dataclass(frozen=True)
class Affine:
    """How each of N pictures is moved."""

    matrix: Tensor
    """float64 [N, 3, 3] on the CPU: maps a place x, y, 1 to where it comes to lie."""
    flip: Tensor | None
    """bool [N]: those that are mirrored; None mirrors none."""
    height: int
    """Pixels of every picture."""
    width: int
    """Pixels of every picture."""

    def pictures(self, batch: Tensor) -> Tensor:
        """Move uint8 [N, C, H, W], between pixels bilinearly; outside is the letterbox's grey."""
        # grid_sample counts from -1 to 1.
        unit = torch.tensor(
            [[2 / self.width, 0, -1], [0, 2 / self.height, -1], [0, 0, 1]], dtype=torch.float64
        )
        back = unit @ self.matrix.inverse()
        few = _FEW if batch.device.type == "cpu" else len(batch)
        parts = zip(torch.split(batch, few), torch.split(back, few), strict=True)
        return torch.cat([self._sampled(*part) for part in parts])

    def move(self, batch: Tensor, fill: float = 0.0) -> Tensor:
        """Move labels [N, C, H, W] of any type, each the nearest one's value; outside is `fill`."""
        column, row = self._sources(self.matrix.inverse(), batch.device)
        column, row = column.floor_(), row.floor_()
        inside = (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        place = row.mul_(self.width).add_(column).mul_(inside).long().flatten(1)
        picked = batch.flatten(2).gather(2, place[:, None].expand(-1, batch.shape[1], -1))
        nothing = torch.tensor(fill, device=batch.device).to(batch.dtype)
        return torch.where(inside[:, None], picked.view_as(batch), nothing)

    def points(self, places: Tensor) -> Tensor:
        """Move places [N, K, 2], x before y from the upper left; they may leave a picture."""
        matrix = self.matrix.to(places.dtype).to(places.device)
        return places @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]

    def _sampled(self, batch: Tensor, back: Tensor) -> Tensor:
        grid = torch.stack(self._sources(back, batch.device), -1)
        found = grid_sample(batch.float() - LETTERBOX, grid, align_corners=False)
        return found.add_(LETTERBOX).round_().clamp_(0, 255).to(batch.dtype)

    def _sources(self, back: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return where each pixel's middle came from by [N, 3, 3]: x and y, float32 [N, H, W]."""
        each = back[:, :2].reshape(-1, 6).T.float().to(device)
        a, b, c, d, e, f = each[..., None, None]
        x = torch.arange(self.width, device=device) + 0.5
        y = torch.arange(self.height, device=device)[:, None] + 0.5
        return torch.addcmul(b * y + c, a, x), torch.addcmul(e * y + f, d, x)


def drawn(changes: Changes, shape: torch.Size, generator: torch.Generator) -> Affine:
    """Draw how a batch of images [N, C, H, W] is moved; a key's draw hangs on no other key."""
    count, _, height, width = shape
    mirror, across, down, size, turn = torch.rand(
        5, count, generator=generator, dtype=torch.float64
    )
    flip = mirror < changes.flip if changes.flip else None
    least, most = (math.log(each) for each in changes.scale)
    factor = (least + (most - least) * size).exp()
    angle = math.radians(changes.rotate) * (2 * turn - 1)
    side = torch.ones(count, dtype=torch.float64) if flip is None else 1.0 - 2.0 * flip.double()
    linear = factor[:, None, None] * torch.stack(
        [
            torch.stack([angle.cos() * side, -angle.sin()], -1),
            torch.stack([angle.sin() * side, angle.cos()], -1),
        ],
        1,
    )
    middle = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    off = changes.shift * (2 * torch.stack([across, down], -1) - 1) * 2 * middle
    matrix = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    matrix[:, :2, :2] = linear
    matrix[:, :2, 2] = middle + off - linear @ middle
    return Affine(matrix, flip, height, width)
