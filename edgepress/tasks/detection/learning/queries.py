"""Learning of `queries`: D-FINE's losses, by the functions of the transformers library.

Paper: Peng et al. 2024, https://arxiv.org/abs/2410.13842. An object is paired with one query by the
least cost of all pairs (scipy's `linear_sum_assignment`); the pairs learn class, box and corners,
the others that they are nothing. In, as transformers has them:
- varifocal loss, L1 and generalised overlap of the last layer, of what comes before it, and of the
  encoder's proposals, each of which is paired anew;
- FGL, cross-entropy of the corners' bins, and DDF, their distillation from the last layer.
Not in, though the paper has them: denoising, for which a network would have to see the labels, and
one union of all layers' pairs (GO-LSD). And as transformers 5.23 has it, otherwise than the paper:
FGL is not asked of the last layer's own corners, and the corners of a layer stand beside scores and
boxes of the one before it. Objects that are not judged, and crowds, have no query; one that finds
them learns that they are nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from edgepress.tasks.detection.codings.queries import BOXES, SCORES
from edgepress.tasks.detection.learning.distances import diverged, generalised

Outputs = dict[str, Tensor]
_PARTS = {"confidence_loss": ("vfl",), "box_loss": ("bbox", "giou"), "corner_loss": ("fgl", "ddf")}
"""Curve -> the library's losses that it is the sum of."""


@dataclass(frozen=True)
class Learning:
    """Boxes [N, Q, 4] and logits [N, Q, classes] against boxes [N, M, 4] in pixels.

    For the loss a network in training gives, beside the two, `layer_scores` [N, L + 1, Q, classes]
    and `layer_boxes` [N, L + 1, Q, 4] of L layers of the decoder and what comes before the first,
    `layer_corners` [N, L, Q, 4 * bins] and the boxes they start from, `layer_references`
    [N, L, Q, 4]; of the encoder's proposals `first_scores` and `first_boxes`; and `frame` [2], the
    width and height of the input.
    """

    def loss(self, outputs: Outputs, truth: Outputs) -> Outputs:
        """Return the sum of all losses, each counted as in the paper, and its parts."""
        from transformers.loss.loss_d_fine import DFineForObjectDetectionLoss

        given = {name: values.float() for name, values in outputs.items()}
        if (lost := _lost(given["layer_boxes"], given["first_boxes"])) is not None:
            return dict.fromkeys(("loss", *_PARTS), lost)
        total, losses, _ = DFineForObjectDetectionLoss(
            given[SCORES],
            targets(truth, given["frame"]),
            given[SCORES].device,
            given[BOXES],
            config(given[SCORES].shape[2], given["layer_corners"].shape[3] // 4 - 1),
            outputs_class=given["layer_scores"],
            outputs_coord=given["layer_boxes"],
            enc_topk_logits=given["first_scores"],
            enc_topk_bboxes=given["first_boxes"],
            predicted_corners=given["layer_corners"],
            initial_reference_points=given["layer_references"],
        )
        found = {"loss": total}
        for name, kinds in _PARTS.items():
            parts = [value for key, value in losses.items() if key.split("_")[1] in kinds]
            found[name] = torch.stack([part.detach() for part in parts]).sum()
        return found

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far scores and boxes are from a teacher's, where the teacher sees objects.

        A query of one has no place of its own in the other: they are paired as with objects, the
        teacher's class and box in their place. Then as in `distances`.
        """
        mine, theirs = student[SCORES].float(), teacher[SCORES].float()
        boxes, aims = (each[BOXES].float().clamp(0, 1) for each in (student, teacher))
        if (lost := _lost(boxes, aims)) is not None:
            return lost
        order = _paired(mine, boxes, theirs, aims)
        mine = mine.gather(1, order.expand_as(mine))
        boxes = boxes.gather(1, order.expand_as(boxes))
        apart = 1 - generalised(_corners(boxes), _corners(aims))
        return diverged(mine, theirs, apart, temperature)

    def found(self, outputs: Outputs, limit: Tensor) -> tuple[Tensor, Tensor]:
        """Return every box [N, Q, 4] in input pixels, and its confidences [N, Q, classes]."""
        return _corners(outputs[BOXES].float()) * limit, outputs[SCORES].float().sigmoid()


@lru_cache(maxsize=8)
def config(classes: int, bins: int = 32) -> Any:
    """Return what the library's losses ask for, with its own weights and costs, the paper's."""
    from transformers import DFineConfig

    return DFineConfig(num_labels=classes, max_num_bins=bins)


def targets(truth: Outputs, frame: Tensor) -> list[Outputs]:
    """Return the objects of each picture as the library has them: boxes as shares of the frame."""
    there = (truth["category"] >= 0) & ~truth["crowd"] & ~truth["ignore"]
    low, high = truth["boxes"][..., :2], truth["boxes"][..., 2:]
    shares = torch.cat([(low + high) / 2 / frame, (high - low) / frame], -1)
    return [
        {"class_labels": category[rows].long(), "boxes": boxes[rows]}
        for category, boxes, rows in zip(truth["category"], shares, there, strict=True)
    ]


@torch.no_grad()
def _paired(mine: Tensor, boxes: Tensor, theirs: Tensor, aims: Tensor) -> Tensor:
    """Return for each query of a teacher the student's, [N, Q, 1], an image at a time."""
    from transformers.loss.loss_rt_detr import RTDetrHungarianMatcher

    matcher = RTDetrHungarianMatcher(config(mine.shape[2]))
    order = []
    for logits, places, scores, wanted in zip(mine, boxes, theirs, aims, strict=True):
        found = {"logits": logits[None], "pred_boxes": places[None]}
        ((own, other),) = matcher(found, [{"class_labels": scores.argmax(-1), "boxes": wanted}])
        order.append(own[other.argsort()])
    return torch.stack(order)[..., None].to(mine.device)


def _lost(*boxes: Tensor) -> Tensor | None:
    """Return a loss of NaN if boxes are not finite, which the library meets with a ValueError."""
    if all(bool(torch.isfinite(each).all()) for each in boxes):
        return None
    return sum(each.sum() for each in boxes) * torch.nan  # type: ignore[return-value]


def _corners(shares: Tensor) -> Tensor:
    """Map middles and sides [..., 4] to left, top, right, bottom."""
    half = shares[..., 2:] / 2
    return torch.cat([shares[..., :2] - half, shares[..., :2] + half], -1)
