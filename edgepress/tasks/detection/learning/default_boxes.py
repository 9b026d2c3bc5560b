"""Learning of `default_boxes`: SSD's loss, as torchvision has it.

Paper: Liu et al. 2016, https://arxiv.org/abs/1512.02325. An object has its best default box and all
that overlap it by half or more; these learn its class by cross-entropy and its box by smooth L1. Of
the others, three times as many learn that they are nothing: those of an image that believe it
least.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, smooth_l1_loss

from edgepress.tasks.detection.codings.default_boxes import FINENESS, LARGEST, Params, placed
from edgepress.tasks.detection.learning.assignment import overlaps
from edgepress.tasks.detection.learning.unjudged import unjudged

Outputs = dict[str, Tensor]
ENOUGH = 0.5
"""Overlap from which a default box learns an object."""
NEGATIVES = 3
"""Default boxes that learn they are nothing, for each that learns an object."""


@dataclass(frozen=True)
class Learning:
    """Maps of logits [N, A * (classes + 1), h, w] and codes [N, A * 4, h, w] against boxes."""

    strides: tuple[int, ...]
    params: Params

    def loss(self, outputs: Outputs, truth: Outputs) -> Outputs:
        """Return the sum of both losses, each over the number of boxes that learn an object."""
        logits, codes, plain = self._flat(outputs)
        with torch.no_grad():
            match = matched(truth, _corners(plain))
            wanted = _codes(_picked(truth["boxes"], match), plain)
            category = truth["category"].long() + 1
            target = torch.where(match >= 0, category.gather(1, match.clamp(min=0)), 0)
            left_out = unjudged(truth, plain[:, :2])
        learns = match >= 0
        total = learns.sum().clamp(min=1)
        each = cross_entropy(logits.transpose(1, 2), target, reduction="none")
        hard = _hardest(each.detach(), learns, ~learns & ~left_out)
        confidence = each[learns | hard].sum() / total
        place = smooth_l1_loss(codes[learns], wanted[learns], reduction="sum") / total
        return {"loss": confidence + place, "confidence_loss": confidence, "box_loss": place}

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far scores and codes are from a teacher's, where the teacher sees objects.

        Scores by the divergence of the softened softmax, codes by smooth L1, weighed by the
        teacher's confidence that there is something.
        """
        mine, codes, _ = self._flat(student)
        theirs, aims, _ = self._flat(teacher)
        soft = kl_div(
            log_softmax(mine / temperature, -1),
            log_softmax(theirs / temperature, -1),
            reduction="none",
            log_target=True,
        )
        sure = 1 - theirs.softmax(-1)[..., 0]
        total = sure.sum().clamp(min=1.0)
        apart = smooth_l1_loss(codes, aims, reduction="none").sum(-1)
        return soft.sum() / total + (apart * sure).sum() / total

    def found(self, outputs: Outputs, limit: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Return every box [N, A, 4] in input pixels, and its confidences [N, A, classes]."""
        logits, codes, plain = self._flat(outputs)
        steps = codes / torch.from_numpy(FINENESS).to(codes.device)
        middle = steps[..., :2] * plain[:, 2:] + plain[:, :2]
        half = steps[..., 2:].clamp(max=LARGEST).exp() * plain[:, 2:] / 2
        return torch.cat([middle - half, middle + half], -1), logits.softmax(-1)[..., 1:]

    def _flat(self, outputs: Outputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [N, A, C + 1], codes [N, A, 4] and the A default boxes of all maps."""
        logits: list[Tensor] = []
        codes: list[Tensor] = []
        grids: list[tuple[int, int, int]] = []
        for stride in self.strides:
            scores, boxes = (outputs[f"{name}_{stride}"].float() for name in ("scores", "boxes"))
            rows, columns = scores.shape[2:]
            grids.append((stride, rows, columns))
            for found, maps in ((logits, scores), (codes, boxes)):
                split = maps.reshape(len(maps), self.params.each, -1, rows * columns)
                found.append(split.transpose(2, 3).flatten(1, 2))
        plain = [torch.tensor(each) for each in placed(tuple(grids), self.params)]
        return torch.cat(logits, 1), torch.cat(codes, 1), torch.cat(plain).to(logits[0].device)


def matched(truth: Outputs, plain: Tensor) -> Tensor:
    """Return [N, A]: which object each default box [A, 4] (corners) learns, -1 for none."""
    there = (truth["category"] >= 0) & ~truth["crowd"] & ~truth["ignore"]
    near = overlaps(truth["boxes"], plain[None])
    near = torch.where(there[..., None], near, -1.0)
    best, match = near.max(1)
    match = torch.where(best >= ENOUGH, match, -1)
    # Every object has its best box, be it ever so far; of two that want one the last has it.
    count = near.shape[1]
    own = torch.where(there, near.argmax(2), len(plain))
    index = torch.arange(count, device=own.device).expand_as(own)
    forced = torch.full((len(own), len(plain) + 1), -1, device=own.device)
    forced = forced.scatter_reduce(1, own, index, "amax")[:, :-1]
    return torch.where(forced >= 0, forced, match)


def _hardest(loss: Tensor, learns: Tensor, free: Tensor) -> Tensor:
    """Return [N, A]: of the free boxes those of the highest loss, some for each that learns."""
    order = torch.where(free, loss, -1.0).argsort(1, descending=True)
    rank = order.argsort(1)
    return (rank < NEGATIVES * learns.sum(1, keepdim=True)) & free


def _corners(plain: Tensor) -> Tensor:
    return torch.cat([plain[:, :2] - plain[:, 2:] / 2, plain[:, :2] + plain[:, 2:] / 2], -1)


def _picked(boxes: Tensor, match: Tensor) -> Tensor:
    return boxes.gather(1, match.clamp(min=0)[..., None].expand(-1, -1, 4))


def _codes(boxes: Tensor, plain: Tensor) -> Tensor:
    """Map boxes [N, A, 4] to codes of default boxes [A, 4]; the reverse of `boxes_of`."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    steps = torch.cat([(middle - plain[:, :2]) / plain[:, 2:], (sides / plain[:, 2:]).log()], -1)
    return steps * torch.from_numpy(FINENESS).to(steps.device)
