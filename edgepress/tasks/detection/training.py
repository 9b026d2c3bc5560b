"""Learning of detection: the losses of its coding, and boxes that move with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.detection.answers import Answers
from edgepress.tasks.detection.decoding import NONE
from edgepress.tasks.detection.labels import Params
from edgepress.tasks.detection.learning.learning import Learning, opened

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]
_MOST_HIDDEN = 0.7
"""Share of a box that may lie under what is pasted; with more it is no object."""
_LEAST_LEFT = 0.1
"""Share of a box that must stay in the picture when it is moved; with less it is no object."""


@dataclass(frozen=True)
class Training:
    """Scores and boxes, as the coding has them, against boxes [N, M, 4]."""

    classes: tuple[str, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return scores and boxes, as they are exported."""
        return Answers(self.classes, self.params).outputs(spec)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:  # noqa: ARG002
        """Return the loss of the coding, and its parts; no confidence is smoothed."""
        return self._learning.loss(outputs, truth)

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far scores and boxes are from a teacher's, where the teacher sees objects."""
        return self._learning.divergence(student, teacher, temperature)

    def warp(self, truth: Outputs, by: Warp) -> Outputs:
        """Move boxes as their pictures are moved; one that leaves the picture is no object.

        A box becomes the one around its moved corners, cut at the border: turned, it grows.
        """
        boxes = truth["boxes"]
        count = boxes.shape[1]
        four = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].reshape(len(boxes), 4 * count, 2)
        corners = by.points(four).reshape(-1, count, 4, 2)
        low, high = corners.amin(2), corners.amax(2)
        limit = torch.tensor([by.width, by.height], dtype=low.dtype, device=low.device)
        cut_low, cut_high = low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)
        before, left = (high - low).prod(-1), (cut_high - cut_low).prod(-1)
        stays = (truth["category"] >= 0) & (left >= _LEAST_LEFT * before) & (left > 0)
        moved = torch.where(stays[..., None], torch.cat([cut_low, cut_high], -1), 0.0)
        return {**truth, "boxes": moved, "category": torch.where(stays, truth["category"], NONE)}

    def mixing(self, kind: Mixture) -> Mix | None:
        """Return how objects side by side or pasted are listed; blended ones are not."""
        return {"mosaic": _side_by_side, "copy_paste": _pasted}.get(kind)

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: decoding and suppression are outside of its graph."""
        return network

    @property
    def _learning(self) -> Learning:
        return opened(self.params)


def training(classes: tuple[str, ...], *, params: Params) -> Training:
    """Return the rules of learning."""
    return Training(classes, params)


def _side_by_side(parts: Sequence[Outputs], shares: Tensor) -> Outputs:  # noqa: ARG001
    """Return the objects of all parts, in as many places as the fullest picture needs."""
    names = [name for name in parts[0] if name != "scale"]
    found = {name: torch.cat([part[name] for part in parts], 1) for name in names}
    none = found["category"] == NONE
    most = max(1, int((~none).sum(1).max()))
    rows = none.int().argsort(dim=1, stable=True)[:, :most]
    picture = torch.arange(len(rows), device=rows.device)[:, None]
    return {**parts[0], **{name: each[picture, rows] for name, each in found.items()}}


def _pasted(parts: Sequence[Outputs], shares: Tensor) -> Outputs:
    """Return the objects of both parts but those hidden; a box is pasted with all its pixels.

    Crowds and objects that are not judged are not pasted, and stay when they are hidden.
    """
    under, over = parts
    judged = ~(over["crowd"] | over["ignore"]) & (over["category"] >= 0)
    category = torch.where(judged & (shares[1] > 0).any(2).any(1)[:, None], over["category"], NONE)
    rows, columns = _within(over["boxes"], shares.shape[2:])
    gone = (category >= 0).float()[:, :, None]
    pasted = torch.einsum("nmh,nmw->nhw", rows * gone, columns) > 0
    rows, columns = _within(under["boxes"], shares.shape[2:])
    hidden = torch.einsum("nmh,nhw,nmw->nm", rows, pasted.float(), columns)
    whole = (rows.sum(2) * columns.sum(2)).clamp(min=1.0)
    stays = (hidden <= _MOST_HIDDEN * whole) | under["crowd"] | under["ignore"]
    seen = {**under, "category": torch.where(stays, under["category"], NONE)}
    joined = _side_by_side([seen, {**over, "category": category}], shares)
    return {**joined, "pasted": pasted}


def _within(boxes: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return 1 for each row [N, M, H] and column [N, M, W] whose middle lies in a box, else 0."""
    found = []
    for axis, steps in ((1, size[0]), (0, size[1])):
        middles = torch.arange(steps, device=boxes.device) + 0.5
        after = middles >= boxes[..., axis, None]
        found.append((after & (middles < boxes[..., axis + 2, None])).float())
    return found[0], found[1]
