"""Crop: each picture is replaced by a random part of it, as large as the input.

Szegedy et al. 2015, "Going Deeper with Convolutions", https://arxiv.org/abs/1409.4842; torchvision
and timm call it RandomResizedCrop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgepress.training.affine import Affine
from edgepress.training.boxes import Shapes, drawn
from edgepress.training.changes import Changes
from edgepress.training.draws import of_key


@dataclass(frozen=True)
class Cropped:
    """How each of N pictures is cut, and mirrored: a part of whole pixels becomes the picture."""

    boxes: Tensor
    """int64 [N, 4] on the CPU: left, top, width and height of the part."""
    by: Affine
    """The same as matrices, which move labels."""

    @property
    def flip(self) -> Tensor | None:
        """Which are mirrored, bool [N]."""
        return self.by.flip

    @property
    def height(self) -> int:
        """Pixels of every picture."""
        return self.by.height

    @property
    def width(self) -> int:
        """Pixels of every picture."""
        return self.by.width

    def pictures(self, batch: Tensor) -> Tensor:
        """Cut uint8 [N, C, H, W], between pixels bilinearly; nothing comes in from outside."""
        if batch.device.type != "cpu":
            return self.by.pictures(batch)
        # A picture at a time: torch has a kernel for bytes, many times as fast as one of floats.
        parts = [
            self._resized(picture[None, :, top : top + height, left : left + width])
            for picture, (left, top, width, height) in zip(batch, self.boxes.tolist(), strict=True)
        ]
        found = torch.cat(parts)
        return found if self.flip is None else _mirrored(found, self.flip)

    def move(self, batch: Tensor, fill: float = 0.0) -> Tensor:
        """Move labels [N, C, H, W] of any type, each the nearest one's value."""
        return self.by.move(batch, fill)

    def points(self, places: Tensor) -> Tensor:
        """Move places [N, K, 2], x before y from the upper left; they may leave a picture."""
        return self.by.points(places)

    def _resized(self, part: Tensor) -> Tensor:
        size = (self.height, self.width)
        return interpolate(part, size, mode="bilinear", align_corners=False)


def cropped(moved: Affine, changes: Changes, draws: torch.Generator) -> Affine | Cropped:
    """Draw the part that each picture is cut to before it is moved as drawn."""
    if changes.crop is None:
        return moved
    size, own = (moved.height, moved.width), of_key(draws, "crop")
    boxes = drawn(Shapes(changes.crop.area, changes.crop.ratio), size, len(moved.matrix), own)
    whole = Affine(moved.matrix @ _matrices(boxes, moved), moved.flip, moved.height, moved.width)
    return whole if changes.turns else Cropped(boxes, whole)


def _matrices(boxes: Tensor, moved: Affine) -> Tensor:
    """Return float64 [N, 3, 3] that map each box onto the whole picture."""
    left, top, width, height = boxes.double().unbind(1)
    found = torch.zeros(len(boxes), 3, 3, dtype=torch.float64)
    for axis, (start, part, side) in enumerate(
        ((left, width, moved.width), (top, height, moved.height))
    ):
        found[:, axis, axis] = side / part
        found[:, axis, 2] = -start * side / part
    found[:, 2, 2] = 1
    return found


def _mirrored(batch: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip[:, None, None, None], batch.flip(-1), batch)
