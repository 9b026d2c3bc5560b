"""Task-aligned assignment: which places of the maps learn which object, by their own answers.

Paper: TOOD, Feng et al. 2021, https://arxiv.org/abs/2108.07755. Each object takes the places whose
score and overlap together are best, among those whose middle lies in it; of objects that want one
place the one that overlaps most has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PER_OBJECT = 10
"""Places an object takes, at most; 13 in the paper."""
_SCORE_POWER = 0.5
_OVERLAP_POWER = 6.0
"""1 and 6 in the paper."""
_TINY = 1e-9


@dataclass(frozen=True)
class Assigned:
    """For A places of B images: what they learn."""

    target: Tensor
    """float [B, A, C]: the wanted confidence, above 0 for the object's class alone."""
    boxes: Tensor
    """float [B, A, 4]: the object's box, zeros where a place learns none."""
    weight: Tensor
    """float [B, A]: the wanted confidence, what a place's box counts; 0 where it learns none."""


@dataclass(frozen=True)
class Places:
    """A places of all maps one after another."""

    middle: Tensor
    """float [A, 2]: x, y in input pixels."""
    stride: Tensor
    """float [A, 1]: input pixels from one place to the next."""


def assign(scores: Tensor, boxes: Tensor, wanted: dict[str, Tensor], places: Places) -> Assigned:
    """Assign objects to places by confidences [B, A, C] and boxes [B, A, 4]; no gradient flows."""
    category = wanted["category"]
    there = (category >= 0) & ~wanted["crowd"] & ~wanted["ignore"]
    truth = wanted["boxes"]
    near = overlaps(truth, boxes)
    index = category.clamp(min=0).long()[:, :, None].expand(-1, -1, scores.shape[1])
    own = scores.transpose(1, 2).gather(1, index)
    fit = own.clamp(min=0) ** _SCORE_POWER * near**_OVERLAP_POWER
    inside = _inside(truth, places) & there[:, :, None]
    taken = _best(torch.where(inside, fit + _TINY, 0.0)) & inside
    # Of several objects that want a place, the nearest has it.
    first = torch.where(taken, near, -1.0).argmax(1)
    taken = taken & (
        torch.arange(taken.shape[1], device=near.device)[None, :, None] == first[:, None]
    )
    fit, near = fit * taken, near * taken
    best = fit.amax(2, keepdim=True)
    confidence = (fit / (best + _TINY) * near.amax(2, keepdim=True)).amax(1)
    return _gathered(taken.any(1), first, confidence, wanted, scores.shape[2])


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes [B, M, 4] with boxes [B, A, 4], [B, M, A]."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = _areas(a)[:, :, None] + _areas(b)[:, None] - shared
    return shared / union.clamp(min=_TINY)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def _inside(truth: Tensor, places: Places) -> Tensor:
    """Return [B, M, A]: the middle lies in the box, or within half a stride of a small one's."""
    middle = (truth[..., :2] + truth[..., 2:])[:, :, None] / 2
    half = (truth[..., 2:] - truth[..., :2])[:, :, None] / 2
    reach = torch.maximum(half, places.stride[None, None] / 2)
    return ((places.middle[None, None] - middle).abs() < reach).all(-1)


def _best(fit: Tensor) -> Tensor:
    """Return [B, M, A]: the places that fit each object best, at most `PER_OBJECT`."""
    count = min(PER_OBJECT, fit.shape[2])
    values, rows = fit.topk(count, dim=2)
    return torch.zeros_like(fit, dtype=torch.bool).scatter(2, rows, values > 0)


def _gathered(
    chosen: Tensor, first: Tensor, confidence: Tensor, wanted: dict[str, Tensor], classes: int
) -> Assigned:
    weight = torch.where(chosen, confidence, 0.0)
    boxes = wanted["boxes"].gather(1, first[:, :, None].expand(-1, -1, 4))
    category = wanted["category"].clamp(min=0).long().gather(1, first)
    target = torch.zeros(*weight.shape, classes, dtype=weight.dtype, device=weight.device)
    target.scatter_(2, category[:, :, None], weight[:, :, None])
    return Assigned(target, torch.where(chosen[:, :, None], boxes, 0.0), weight)
