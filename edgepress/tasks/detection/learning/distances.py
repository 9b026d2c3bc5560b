"""Learning of `distances`: aligned confidences by quality focal loss, boxes by their overlap.

The assignment is TOOD's (`assignment.py`). Quality focal loss: Li et al. 2020,
https://arxiv.org/abs/2006.04388; generalised IoU: Rezatofighi et al. 2019,
https://arxiv.org/abs/1902.09630.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from edgepress.tasks.detection.boxes import LARGEST
from edgepress.tasks.detection.boxes import middles as middles_of
from edgepress.tasks.detection.learning.assignment import Places, assign
from edgepress.tasks.detection.learning.unjudged import unjudged

Outputs = dict[str, Tensor]
BOX_WEIGHT = 2.5
"""What the boxes' loss counts beside that of the confidences."""
FOCUS = 1.0
"""Power of a confidence's distance from the wanted one that its loss is weighed by; 2 in the paper,
with which 20 epochs of made scenes gave a mean AP of 0.12 where 1 gave 0.23 (one run each)."""


@dataclass(frozen=True)
class Learning:
    """Maps of logits [N, classes, h, w] and distances [N, 4, h, w] against boxes [N, M, 4]."""

    strides: tuple[int, ...]

    def loss(self, outputs: Outputs, truth: Outputs) -> Outputs:
        """Return the weighed sum of both losses, and each; confidences are soft as they are."""
        logits, distances, places = self._flat(outputs)
        boxes = _boxes(distances, places)
        with torch.no_grad():
            found = assign(logits.sigmoid(), boxes, truth, places)
            judged = ~unjudged(truth, places.middle) | (found.weight > 0)
            focus = (found.target - logits.sigmoid()).abs() ** FOCUS * judged[..., None]
        total = found.weight.sum().clamp(min=1.0)
        every = binary_cross_entropy_with_logits(logits, found.target, reduction="none")
        confidence = (every * focus).sum() / total
        apart = 1 - generalised(boxes, found.boxes)
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
        apart = 1 - generalised(_boxes(distances, places), _boxes(aims, places))
        return diverged(mine, theirs, apart, temperature)

    def found(self, outputs: Outputs, limit: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Return every box [N, A, 4] in input pixels, and its confidences [N, A, classes]."""
        logits, distances, places = self._flat(outputs)
        return _boxes(distances, places), logits.sigmoid()

    def _flat(self, outputs: Outputs) -> tuple[Tensor, Tensor, Places]:
        """Return scores [N, A, C], distances [N, A, 4] and the A places of all maps."""
        scores, distances, middles, strides = [], [], [], []
        for stride in self.strides:
            each = outputs[f"scores_{stride}"].float()
            rows, columns = each.shape[2:]
            scores.append(each.flatten(2).transpose(1, 2))
            distances.append(outputs[f"boxes_{stride}"].float().flatten(2).transpose(1, 2))
            middles.append(torch.from_numpy(middles_of(rows * stride, columns * stride, stride)))
            strides.append(torch.full((rows * columns, 1), float(stride)))
        device = scores[0].device
        places = Places(torch.cat(middles).to(device), torch.cat(strides).to(device))
        return torch.cat(scores, 1), torch.cat(distances, 1), places


def _boxes(distances: Tensor, places: Places) -> Tensor:
    """Map logarithms of distances [N, A, 4] to boxes, as `boxes.boxes_of` does."""
    far = distances.clamp(max=LARGEST).exp() * places.stride
    return torch.cat([places.middle - far[..., :2], places.middle + far[..., 2:]], -1)


def diverged(mine: Tensor, theirs: Tensor, apart: Tensor, temperature: float) -> Tensor:
    """Return how far logits [N, A, classes] and boxes, `apart` [N, A], are from a teacher's."""
    wanted = torch.sigmoid(theirs / temperature)
    soft = binary_cross_entropy_with_logits(mine / temperature, wanted, reduction="none")
    least = binary_cross_entropy_with_logits(theirs / temperature, wanted, reduction="none")
    sure = theirs.sigmoid().amax(-1)
    total = sure.sum().clamp(min=1.0)
    return (soft - least).sum() / total + (apart * sure).sum() / total


def generalised(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised overlap of pairs of boxes [..., 4], -1 to 1."""
    shared = (
        (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2]))
        .clamp(min=0)
        .prod(-1)
    )
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
