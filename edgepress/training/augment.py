"""Augmentations of whole batches, seeded by step so that a resumed run draws the same ones.

A Warp is drawn once per batch and moves the images; the task moves their labels by the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from edgepress.training import affine
from edgepress.training.blur import blurred
from edgepress.training.changes import Augment, Changes
from edgepress.training.colour import coloured
from edgepress.training.crop import cropped
from edgepress.training.erase import erased
from edgepress.training.mixing import Sample, blended, copy_paste, mosaic
from edgepress.training.policies import augmixed, planned

if TYPE_CHECKING:
    from edgepress.tasks.task import Learner


class Warp(Protocol):
    """How each of N pictures is moved, and what lies on them with it."""

    @property
    def flip(self) -> Tensor | None:
        """Which are mirrored, bool [N]: left and right change places; None mirrors none."""
        ...

    @property
    def height(self) -> int:
        """Pixels of every picture."""
        ...

    @property
    def width(self) -> int:
        """Pixels of every picture."""
        ...

    def pictures(self, batch: Tensor) -> Tensor:
        """Move pictures, uint8 [N, C, H, W]."""
        ...

    def move(self, batch: Tensor, fill: float = 0.0) -> Tensor:
        """Move labels that lie as pixels do, [N, C, H, W]: no value but theirs, and `fill`."""
        ...

    def points(self, places: Tensor) -> Tensor:
        """Move places [N, K, 2], x before y from the upper left; they may leave a picture."""
        ...


@dataclass(frozen=True)
class Shift:
    """How each of N pictures is moved: mirrored first, then shifted by whole pixels."""

    flip: Tensor | None
    """bool [N]; None mirrors none."""
    pad: int
    """Most pixels of a shift; 0 shifts none."""
    offsets: Tensor
    """int64 [2, N, 1]: first row and first column taken of a picture padded by `pad` all round."""
    height: int
    """Pixels of every picture."""
    width: int
    """Pixels of every picture."""

    def pictures(self, batch: Tensor) -> Tensor:
        """Move pictures; what comes in from outside is black."""
        return self.move(batch)

    def move(self, batch: Tensor, fill: float = 0.0) -> Tensor:
        """Move uint8, integer or float [N, C, H, W]; what comes in from outside is `fill`."""
        if self.flip is not None:
            mirror = self.flip.to(batch.device)[:, None, None, None]
            batch = torch.where(mirror, batch.flip(-1), batch)
        return self._shifted(batch, fill) if self.pad else batch

    def points(self, places: Tensor) -> Tensor:
        """Move places [N, K, 2], x before y from the upper left; they may leave a picture."""
        x, y = places.unbind(-1)
        if self.flip is not None:
            x = torch.where(self.flip.to(x.device)[:, None], self.width - x, x)
        rows, columns = self.offsets.to(x.device) - self.pad
        return torch.stack([x - columns, y - rows], -1) if self.pad else torch.stack([x, y], -1)

    def _shifted(self, batch: Tensor, fill: float) -> Tensor:
        count, _, height, width = batch.shape
        pad = (self.pad,) * 4
        padded = torch.nn.functional.pad(batch, pad, value=fill)
        offsets = self.offsets.to(batch.device)
        rows = offsets[0] + torch.arange(height, device=batch.device)
        columns = offsets[1] + torch.arange(width, device=batch.device)
        images = torch.arange(count, device=batch.device)[:, None, None]
        picked = padded.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)


def augmented(
    sample: Sample, kind: Augment, learner: Learner | None, generator: torch.Generator
) -> Sample:
    """Change one step's images and their truths; without a learner there are no truths to move."""
    if isinstance(kind, Changes):
        sample = replace(sample, images=_valued(sample.images, kind, generator))
        sample = mosaic(sample, kind.mosaic, learner, generator)
        sample = copy_paste(sample, kind.copy_paste, learner, generator)
    warp = draw(kind, sample.images.shape, generator)
    if warp is not None:
        truth = learner.warp(sample.truth, warp) if learner else sample.truth
        sample = Sample(warp.pictures(sample.images), truth)
    if not isinstance(kind, Changes):
        return sample
    if kind.erase is not None:
        sample = replace(sample, images=erased(sample.images, kind.erase, generator))
    return blended(sample, kind, learner, generator)


def draw(kind: Augment, shape: torch.Size, generator: torch.Generator) -> Warp | None:
    """Draw how a batch of images [N, C, H, W] is moved; None leaves it as it is."""
    if isinstance(kind, Changes):
        moved = affine.drawn(kind, shape, generator)
        return cropped(moved, kind, generator) if kind.moves else None
    if kind == "none":
        return None
    count, _, height, width = shape
    flip = torch.rand(count, generator=generator) < 0.5 if kind == "flip_shift" else None
    pad = max(1, max(height, width) // 8)
    offsets = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    return Shift(flip, pad, offsets, height, width)


def _valued(images: Tensor, changes: Changes, generator: torch.Generator) -> Tensor:
    """Change values where they lie: what a policy says, then the colours."""
    if (plan := planned(changes, len(images), generator)) is not None:
        images = plan.values(images)
    if changes.augmix is not None:
        images = augmixed(images, changes.augmix, generator)
    images = coloured(images, changes, generator)
    return images if changes.blur is None else blurred(images, changes.blur, generator)
