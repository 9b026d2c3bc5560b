"""Learning of keypoints: Gaussians around the true points, by cross-entropy.

Maps: Simple Baselines, Xiao et al. 2018, https://arxiv.org/abs/1804.06208, whose squared error is
here the cross-entropy of every place: its slope does not vanish where a map is wrong and sure of
it, and logits keep the tails that INT8 would round to nothing. Bins: SimCC, Li et al. 2022,
https://arxiv.org/abs/2107.03332. Targets are drawn around the true place, not the nearest step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, log_softmax

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.keypoints.answers import Answers
from edgepress.tasks.keypoints.labels import Params

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Training:
    """Maps [N, K, h, w], or bins [N, K, w] and [N, K, h], against points [N, K, 2]."""

    classes: tuple[str, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return the maps or the bins, as they are exported."""
        return Answers(self.classes, self.params).outputs(spec)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:
        """Return the mean loss of labelled points; `smoothing` spreads a share over all bins."""
        labelled = (truth["visible"] > 0).float()
        total = labelled.sum().clamp(min=1.0)
        x, y = truth["points"].float().unbind(-1)
        if self.params.form == "heatmap":
            logits = outputs["heatmaps"].float()
            down, across = self._bell(y, logits.shape[2]), self._bell(x, logits.shape[3])
            wanted = down[..., :, None] * across[..., None, :]
            each = _above_least(logits, wanted).sum((2, 3)) / self._area
            return {"loss": (each * labelled).sum() / total}
        found = {}
        for name, places in (("x", x), ("y", y)):
            logits = outputs[name].float()
            wanted = self._bell(places, logits.shape[2])
            wanted = wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-12)
            wanted = wanted * (1 - smoothing) + smoothing / logits.shape[2]
            far = kl_div(log_softmax(logits, -1), wanted, reduction="none").sum(-1)
            found[f"{name}_loss"] = (far * labelled).sum() / total
        return {"loss": found["x_loss"] + found["y_loss"], **found}

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far softened maps or bins are from a teacher's, the mean over all points."""
        if self.params.form == "heatmap":
            wanted = torch.sigmoid(teacher["heatmaps"].float() / temperature)
            far = _above_least(student["heatmaps"].float() / temperature, wanted)
            return far.sum((2, 3)).mean() / self._area
        rows = []
        for name in ("x", "y"):
            far = kl_div(
                log_softmax(student[name].float() / temperature, -1),
                log_softmax(teacher[name].float() / temperature, -1),
                reduction="none",
                log_target=True,
            )
            rows.append(far.sum(-1).mean())
        return rows[0] + rows[1]

    def warp(self, truth: Outputs, by: Warp) -> Outputs:
        """Move points as their pictures are moved; those that leave them are not labelled.

        Left and right of the object change places in pictures that are mirrored.
        """
        points, visible = by.points(truth["points"]), truth["visible"]
        if by.flip is not None:
            order = torch.tensor(self.params.mirrored, device=points.device)
            flip = by.flip.to(points.device)[:, None]
            points = torch.where(flip[..., None], points[:, order], points)
            visible = torch.where(flip, visible[:, order], visible)
        limit = torch.tensor([by.width, by.height], dtype=points.dtype, device=points.device)
        stays = (visible > 0) & ((points >= 0) & (points <= limit)).all(-1)
        return {
            **truth,
            "points": torch.where(stays[..., None], points, 0.0),
            "visible": torch.where(stays, visible, 0),
        }

    def mixing(self, kind: Mixture) -> Mix | None:  # noqa: ARG002
        """Return None: a picture has one object, a mixed one several."""
        return None

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: peaks are looked for outside of its graph."""
        return network

    @property
    def _area(self) -> float:
        """Sum of a target over a map: what its loss is divided by, whatever stride and blur."""
        return 2 * math.pi * self.params.blur**2

    def _bell(self, places: Tensor, steps: int) -> Tensor:
        """Return Gaussians [..., steps] around places [...] in pixels, 1 at their height."""
        middles = torch.arange(steps, device=places.device) + 0.5
        off = middles - places[..., None] / self.params.stride
        return torch.exp(-off.square() / (2 * self.params.blur**2))


def training(classes: tuple[str, ...], *, params: Params) -> Training:
    """Return the rules of learning."""
    return Training(classes, params)


def _above_least(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return each place's cross-entropy less the least there is: 0 where both say the same."""
    least: Tensor = torch.special.entr(wanted) + torch.special.entr(1 - wanted)
    return binary_cross_entropy_with_logits(logits, wanted, reduction="none") - least
