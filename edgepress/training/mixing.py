"""Mixing: several pictures of a batch in one, their truths joined by the task.

Mosaic: Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934, here with the corner of the four
in the middle, which a shift after it moves. Mixup: Zhang et al. 2018,
https://arxiv.org/abs/1710.09412, with a share of its own for each pair, of which the picture itself
has the larger, so that a batch keeps one picture of each that was drawn. Copy-paste: Ghiasi et al.
2021, https://arxiv.org/abs/2012.07177, without the paper's change of scale: what is pasted is moved
by whole pixels, and objects that leave the picture on the way stay out. CutMix: Yun et al. 2019,
https://arxiv.org/abs/1905.04899, with a part of its own for each pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgepress.tasks.task import MIXTURES
from edgepress.training.affine import Affine
from edgepress.training.boxes import inside
from edgepress.training.changes import Augment, Changes
from edgepress.training.draws import of_key

if TYPE_CHECKING:
    from edgepress.tasks.task import Learner, Mix, Mixture, Outputs


UNMIXED = "the labels learnt from cannot say what is on several pictures in one; remove it"
"""What is said of a key that is refused."""


@dataclass(frozen=True)
class Sample:
    """Images uint8 [N, C, H, W] and their truths, [N, ...] each."""

    images: Tensor
    truth: Outputs

    def taken(self, rows: Tensor) -> Sample:
        """Return the rows of both."""
        rows = rows.to(self.images.device)
        return Sample(self.images[rows], {name: each[rows] for name, each in self.truth.items()})


def refused(augment: Augment, learner: Learner | None) -> list[str]:
    """Return the keys of what is mixed whose mixed truths the learner cannot say."""
    if not isinstance(augment, Changes):
        return []
    named = [kind for kind in MIXTURES if getattr(augment, kind)]
    found: list[str] = [k for k in named if learner is None or learner.mixing(k) is None]
    if augment.augmix and learner and learner.mixing("mixup") is None:
        found.append("augmix")  # its versions of a picture lie in different places
    return found


def mosaic(sample: Sample, share: float, learner: Learner | None, draws: torch.Generator) -> Sample:
    """Put each of a `share` of the pictures into a quarter, three others into the rest."""
    count = len(sample.images)
    lots = torch.rand(4, count, generator=draws)
    if not share:
        return sample
    chosen = lots[0] < share
    height, width = sample.images.shape[2:]
    rows, columns = ((0, height // 2, height), (0, width // 2, width))
    able, join = _mixer(learner, "mosaic")
    canvas, parts = torch.empty_like(sample.images), []
    for quarter, order in enumerate([torch.arange(count), *lots[1:].argsort(1)]):
        top, bottom = rows[quarter // 2 : quarter // 2 + 2]
        left, right = columns[quarter % 2 : quarter % 2 + 2]
        other = sample.taken(order)
        small = _resized(other.images, bottom - top, right - left)
        canvas[:, :, top:bottom, left:right] = small
        by = _into((left, top, right, bottom), sample, chosen, quarter > 0)
        parts.append(able.warp(other.truth, by))
    shares = torch.where(chosen, 0.25, torch.tensor([1.0, 0, 0, 0])[:, None])
    truth = join(parts, shares.to(sample.images.device))
    mixed = chosen.to(canvas.device)[:, None, None, None]
    return Sample(torch.where(mixed, canvas, sample.images), truth)


def copy_paste(
    sample: Sample, share: float, learner: Learner | None, draws: torch.Generator
) -> Sample:
    """Put the objects of another picture over each of a `share` of the pictures."""
    if not share:
        return sample
    own = of_key(draws, "copy_paste")
    count, _, height, width = sample.images.shape
    lots = torch.rand(4, count, generator=own)
    able, join = _mixer(learner, "copy_paste")
    chosen = lots[0] < share
    matrix = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    for axis, side in enumerate((width, height)):
        matrix[:, axis, 2] = ((lots[1 + axis] - 0.5) * side).round()
    by = Affine(matrix, None, height, width)
    circle = lots[3].argsort()
    other = sample.taken(circle.roll(1)[circle.argsort()])  # the one before: never itself
    over = chosen.to(sample.images)[None, :, None, None].expand(1, count, height, width)
    truth = join([sample.truth, able.warp(other.truth, by)], torch.cat([1 - over, over]))
    pasted = truth.pop("pasted")[:, None]
    return Sample(torch.where(pasted, by.pictures(other.images), sample.images), truth)


def mixup(sample: Sample, alpha: float, learner: Learner | None, draws: torch.Generator) -> Sample:
    """Blend each picture with another by shares drawn from Beta(alpha, alpha)."""
    count = len(sample.images)
    order = torch.rand(count, generator=draws).argsort()
    seed = int(torch.randint(2**62, (), generator=draws))
    if not alpha:
        return sample
    beta = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()
    own = torch.maximum(beta, 1 - beta).to(sample.images.device)
    other = sample.taken(order)
    weight = own[:, None, None, None]
    images = weight * sample.images + (1 - weight) * other.images
    _, join = _mixer(learner, "mixup")
    truth = join([sample.truth, other.truth], torch.stack([own, 1 - own]))
    return Sample(images.round().to(sample.images.dtype), truth)


def cutmix(sample: Sample, alpha: float, learner: Learner | None, draws: torch.Generator) -> Sample:
    """Put a part of another picture over each; its share of the area is from Beta(alpha, alpha)."""
    own = of_key(draws, "cutmix")
    count, _, height, width = sample.images.shape
    across, down, order = torch.rand(3, count, generator=own, dtype=torch.float64)
    seed = int(torch.randint(2**62, (), generator=own))
    if not alpha:
        return sample
    area = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count))
    middle = torch.stack([across * width, down * height], 1)
    reach = area.sqrt()[:, None] * torch.tensor([width / 2, height / 2], dtype=torch.float64)
    limit = torch.tensor([width, height])
    low, high = (
        each.round().clamp(min=0).minimum(limit) for each in (middle - reach, middle + reach)
    )
    over = inside(torch.cat([low, high - low], 1), (height, width)).to(sample.images.device)
    circle = order.argsort()
    other = sample.taken(circle.roll(1)[circle.argsort()])  # the one before: never itself
    given = over.float().mean((1, 2, 3))
    _, join = _mixer(learner, "cutmix")
    truth = join([sample.truth, other.truth], torch.stack([1 - given, given]))
    return Sample(torch.where(over, other.images, sample.images), truth)


def blended(
    sample: Sample, changes: Changes, learner: Learner | None, draws: torch.Generator
) -> Sample:
    """Mix by mixup or cutmix; where both are named a step takes one of them, by even chance."""
    heads = bool(torch.rand(1, generator=of_key(draws, "mixup or cutmix")) < 0.5)
    if changes.cutmix and (heads or not changes.mixup):
        return cutmix(sample, changes.cutmix, learner, draws)
    return mixup(sample, changes.mixup, learner, draws)


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """Return images at another size, between pixels bilinearly: at half, the mean of four."""
    found = interpolate(images.float(), (height, width), mode="bilinear", align_corners=False)
    return found.round_().clamp_(0, 255).to(images.dtype)


def _into(box: tuple[int, ...], sample: Sample, chosen: Tensor, leaves: bool) -> Affine:
    """Return the warp of whole pictures into a box; of those not chosen, out of it or nowhere."""
    left, top, right, bottom = box
    height, width = sample.images.shape[2:]
    placed = torch.tensor(
        [[(right - left) / width, 0, left], [0, (bottom - top) / height, top], [0, 0, 1]],
        dtype=torch.float64,
    )
    otherwise = torch.eye(3, dtype=torch.float64)
    otherwise[0, 2] = 2 * width if leaves else 0
    return Affine(torch.where(chosen[:, None, None], placed, otherwise), None, height, width)


def _mixer(learner: Learner | None, kind: Mixture) -> tuple[Learner, Mix]:
    join = None if learner is None else learner.mixing(kind)
    if learner is None or join is None:
        raise ValueError(f"augment.{kind} was let in for labels that cannot be mixed")
    return learner, join
