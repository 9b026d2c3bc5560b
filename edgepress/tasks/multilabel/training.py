"""Learning of multi-label: a binary cross-entropy for each class, or the asymmetric loss.

Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification",
https://arxiv.org/abs/2009.14119: most classes are not on most images, so that what is rightly not
given would drown the rest. Without focus and margin it is the cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.multilabel.labels import Params

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]
_LEAST = 1e-8
"""Least base of a power: that of 0 has no slope for powers below 1."""


@dataclass(frozen=True)
class Training:
    """Logits [N, classes] against presence [N, classes]."""

    classes: tuple[str, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:  # noqa: ARG002
        """Return `logits`, [1, classes]."""
        return (TensorSpec(name="logits", shape=(1, len(self.classes)), layout="NC"),)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:
        """Return the loss, summed over classes, and the share of images that are all right.

        `smoothing` draws each class's truth towards one half.
        """
        logits, present = outputs["logits"].float(), truth["present"].float()
        wanted = present * (1 - smoothing) + smoothing / 2
        there, absent = self._terms(logits)
        loss = -(wanted * there + (1 - wanted) * absent).sum(1).mean()
        given = logits.detach().sigmoid() >= self.params.threshold
        return {"loss": loss, "exact_match": (given == (present > 0)).all(1).float().mean()}

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return KL(teacher || student) of each class's softened yes or no, summed over classes."""
        mine = student["logits"].float() / temperature
        theirs = teacher["logits"].float() / temperature
        wanted = theirs.sigmoid()
        far = binary_cross_entropy_with_logits(mine, wanted, reduction="none")
        least = binary_cross_entropy_with_logits(theirs, wanted, reduction="none")
        return (far - least).sum(1).mean()

    def warp(self, truth: Outputs, by: Warp) -> Outputs:  # noqa: ARG002
        """Leave labels as they are: a moved picture has the same classes."""
        return truth

    def mixing(self, kind: Mixture) -> Mix | None:
        """Return how presence is blended, by shares; a quarter may be too small to show a class."""
        return _blended if kind == "mixup" else None

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: its logits are exported."""
        return network

    def _terms(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a class counts where it is there and where it is not, [N, classes] each."""
        share = logits.sigmoid()
        there = logsigmoid(logits) * _power(1 - share, self.params.focus_positive)
        if self.params.margin:
            left = (share - self.params.margin).clamp(min=0.0)
            absent = (1 - left).log()
        else:  # the logarithm of a sum would lose what is next to certain
            left, absent = share, logsigmoid(-logits)
        return there, absent * _power(left, self.params.focus_negative)


def training(classes: tuple[str, ...], *, params: Params) -> Training:
    """Return the rules of learning."""
    return Training(classes, params)


def _blended(parts: Sequence[Outputs], shares: Tensor) -> Outputs:
    present = torch.stack([part["present"].float() for part in parts])
    return {**parts[0], "present": (present * shares[..., None]).sum(0)}


def _power(base: Tensor, exponent: float) -> Tensor | float:
    return base.clamp(min=_LEAST) ** exponent if exponent else 1.0
