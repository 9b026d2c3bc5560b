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
from torch.nn.functional import binary_cross_entropy_with_logits

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks._terms import asymmetric
from edgepress.tasks.multilabel.labels import Params

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]


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
        focus = (self.params.focus_positive, self.params.focus_negative)
        loss = asymmetric(logits, wanted, *focus, self.params.margin).sum(1).mean()
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
        return _blended if kind in ("mixup", "cutmix") else None

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: its logits are exported."""
        return network


def training(classes: tuple[str, ...], *, params: Params) -> Training:
    """Return the rules of learning."""
    return Training(classes, params)


def _blended(parts: Sequence[Outputs], shares: Tensor) -> Outputs:
    present = torch.stack([part["present"].float() for part in parts])
    return {**parts[0], "present": (present * shares[..., None]).sum(0)}
