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
from edgepress.training.policies import planned


@dataclass(frozen=True)
class Cropped:
    """How each of N pictures is moved: most are cut to a part of whole pixels, and mirrored."""

    boxes: Tensor
    """int64 [N, 4] on the CPU: left, top, width and height of the part."""
    turned: Tensor
    """bool [N]: those that are moved otherwise too."""
    by: Affine
    """All of it as matrices, which move labels."""

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
        """Move uint8 [N, C, H, W], between pixels bilinearly; outside is the letterbox's grey."""
        if batch.device.type != "cpu":
            return self.by.pictures(batch)
        # A picture at a time: torch has a kernel for bytes, many times as fast as one of floats.
        flip = torch.zeros(len(batch)) if self.flip is None else self.flip
        each = zip(batch, self.boxes.tolist(), flip.tolist(), strict=True)
        found = torch.cat([self._cut(*one) for one in each])
        if self.turned.any():
            matrix = self.by.matrix[self.turned]
            by = Affine(matrix, None, self.height, self.width)
            found[self.turned] = by.pictures(batch[self.turned])
        return found

    def move(self, batch: Tensor, fill: float = 0.0) -> Tensor:
        """Move labels [N, C, H, W] of any type, each the nearest one's value."""
        return self.by.move(batch, fill)

    def points(self, places: Tensor) -> Tensor:
        """Move places [N, K, 2], x before y from the upper left; they may leave a picture."""
        return self.by.points(places)

    def _cut(self, picture: Tensor, box: list[int], flip: bool) -> Tensor:
        left, top, width, height = box
        part = picture[None, :, top : top + height, left : left + width]
        size = (self.height, self.width)
        if size != (height, width):
            part = interpolate(part, size, mode="bilinear", align_corners=False)
        return part.flip(-1) if flip else part


def cropped(moved: Affine, changes: Changes, draws: torch.Generator) -> Affine | Cropped:
    """Draw the part that each picture is cut to before a policy moves it, and then `moved`."""
    count, size = len(moved.matrix), (moved.height, moved.width)
    boxes = torch.tensor([[0, 0, moved.width, moved.height]]).expand(count, 4)
    if changes.crop is not None:
        shapes = Shapes(changes.crop.area, changes.crop.ratio)
        boxes = drawn(shapes, size, count, of_key(draws, "crop"))
    matrix, turned = _matrices(boxes, size), torch.zeros(count, dtype=torch.bool)
    if (plan := planned(changes, count, draws)) is not None:
        turn = plan.matrix(size)
        turned = (turn != torch.eye(3)).flatten(1).any(1)
        matrix = turn @ matrix
    by = Affine(moved.matrix @ matrix, moved.flip, *size)
    return by if changes.turns else Cropped(boxes, turned, by)


def _matrices(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return float64 [N, 3, 3] that map each box onto the whole picture."""
    found = torch.eye(3, dtype=torch.float64).repeat(len(boxes), 1, 1)
    for axis, side in enumerate(reversed(size)):
        start, part = boxes[:, axis].double(), boxes[:, 2 + axis].double()
        found[:, axis, axis] = side / part
        found[:, axis, 2] = -start * side / part
    return found
