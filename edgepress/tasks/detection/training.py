"""Learning of detection: aligned confidences by quality focal loss, boxes by generalised overlap.

The assignment is TOOD's (`_assignment.py`). Quality focal loss: Li et al. 2020,
https://arxiv.org/abs/2006.04388; generalised IoU: Rezatofighi et al. 2019,
https://arxiv.org/abs/1902.09630.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.detection._assignment import Places, assign
from edgepress.tasks.detection.answers import Answers
from edgepress.tasks.detection.boxes import LARGEST
from edgepress.tasks.detection.boxes import middles as middles_of
from edgepress.tasks.detection.labels import NONE, Params

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]
BOX_WEIGHT = 2.5
"""What the boxes' loss counts beside that of the confidences."""
FOCUS = 1.0
"""Power of a confidence's distance from the wanted one that its loss is weighed by; 2 in the paper,
with which 20 epochs of made scenes gave a mean AP of 0.12 where 1 gave 0.23 (one run each)."""
_MOST_HIDDEN = 0.7
"""Share of a box that may lie under what is pasted; with more it is no object."""
_LEAST_LEFT = 0.1
"""Share of a box that must stay in the picture when it is moved; with less it is no object."""


@dataclass(frozen=True)
class Training:
    """Maps of scores [N, classes, h, w] and distances [N, 4, h, w] against boxes [N, M, 4]."""

    classes: tuple[str, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return two maps a stride, as they are exported."""
        return Answers(self.classes, self.params).outputs(spec)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:  # noqa: ARG002
        """Return the weighed sum of both losses, and each; confidences are soft as they are."""
        logits, distances, places = self._flat(outputs)
        boxes = _boxes(distances, places)
        with torch.no_grad():
            found = assign(logits.sigmoid(), boxes, truth, places)
            judged = ~_ignored(truth, places) | (found.weight > 0)
            focus = (found.target - logits.sigmoid()).abs() ** FOCUS * judged[..., None]
        total = found.weight.sum().clamp(min=1.0)
        every = binary_cross_entropy_with_logits(logits, found.target, reduction="none")
        confidence = (every * focus).sum() / total
        apart = 1 - _generalised(boxes, found.boxes)
        place = (torch.where(found.weight > 0, apart, 0.0) * found.weight).sum() / total
        return {
            "loss": confidence + BOX_WEIGHT * place,
            "confidence_loss": confidence,
            "box_loss": place,
        }

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far scores and boxes are from a teacher's, where the teacher sees objects.

        Scores by cross-entropy less its least, boxes by generalised overlap, both weighed by the
        teacher's confidence, so that the many empty places do not drown the few others.
        """
        mine, distances, places = self._flat(student)
        theirs, aims, _ = self._flat(teacher)
        wanted = torch.sigmoid(theirs / temperature)
        soft = binary_cross_entropy_with_logits(mine / temperature, wanted, reduction="none")
        least = binary_cross_entropy_with_logits(theirs / temperature, wanted, reduction="none")
        sure = theirs.sigmoid().amax(-1)
        total = sure.sum().clamp(min=1.0)
        apart = 1 - _generalised(_boxes(distances, places), _boxes(aims, places))
        return (soft - least).sum() / total + (apart * sure).sum() / total

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

    def _flat(self, outputs: Outputs) -> tuple[Tensor, Tensor, Places]:
        """Return scores [N, A, C], distances [N, A, 4] and the A places of all maps."""
        scores, distances, middles, strides = [], [], [], []
        for stride in self.params.strides:
            each = outputs[f"scores_{stride}"].float()
            rows, columns = each.shape[2:]
            scores.append(each.flatten(2).transpose(1, 2))
            distances.append(outputs[f"boxes_{stride}"].float().flatten(2).transpose(1, 2))
            middles.append(torch.from_numpy(middles_of(rows * stride, columns * stride, stride)))
            strides.append(torch.full((rows * columns, 1), float(stride)))
        device = scores[0].device
        places = Places(torch.cat(middles).to(device), torch.cat(strides).to(device))
        return torch.cat(scores, 1), torch.cat(distances, 1), places


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


def _boxes(distances: Tensor, places: Places) -> Tensor:
    """Map logarithms of distances [N, A, 4] to boxes, as `boxes.boxes_of` does."""
    far = distances.clamp(max=LARGEST).exp() * places.stride
    return torch.cat([places.middle - far[..., :2], places.middle + far[..., 2:]], -1)


def _generalised(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised overlap of pairs of boxes [..., 4], -1 to 1."""
    shared = (
        (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2]))
        .clamp(min=0)
        .prod(-1)
    )
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def _ignored(truth: Outputs, places: Places) -> Tensor:
    """Return [N, A]: the place's middle lies in a crowd or in an object that is not judged."""
    boxes = truth["boxes"]
    unjudged = (truth["category"] >= 0) & (truth["crowd"] | truth["ignore"])
    middle = places.middle[None, None]
    within = ((middle > boxes[:, :, None, :2]) & (middle < boxes[:, :, None, 2:])).all(-1)
    return (within & unjudged[..., None]).any(1)
