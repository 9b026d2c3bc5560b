"""Learning of classification: cross-entropy of logits [N, classes]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, one_hot

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Training:
    """Logits against labels."""

    classes: tuple[str, ...]

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:  # noqa: ARG002
        """Return `logits`, [1, classes]."""
        return (TensorSpec(name="logits", shape=(1, len(self.classes)), layout="NC"),)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:
        """Return the cross-entropy and the batch's accuracy; `smoothing` goes to all classes.

        Of blended pictures `shares` [N, classes] says the mixture; the accuracy is of `label`.
        """
        logits, labels = outputs["logits"], truth["label"]
        wanted = truth.get("shares", labels)
        right = (logits.detach().argmax(1) == labels).float().mean()
        loss = cross_entropy(logits, wanted, label_smoothing=smoothing)
        return {"loss": loss, "accuracy": right}

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return KL(teacher || student) of softened logits, the mean over the batch."""
        return kl_div(
            log_softmax(student["logits"] / temperature, 1),
            log_softmax(teacher["logits"] / temperature, 1),
            reduction="batchmean",
            log_target=True,
        )

    def warp(self, truth: Outputs, by: Warp) -> Outputs:  # noqa: ARG002
        """Leave labels as they are: a moved picture has the same class."""
        return truth

    def mixing(self, kind: Mixture) -> Mix | None:
        """Return how labels of blended pictures become shares; side by side there is no label."""
        return self._blended if kind in ("mixup", "cutmix") else None

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: its logits are exported."""
        return network

    def _blended(self, parts: Sequence[Outputs], shares: Tensor) -> Outputs:
        wanted = [one_hot(part["label"].long(), len(self.classes)) for part in parts]
        mixed = (torch.stack(wanted) * shares[..., None]).sum(0)
        return {**parts[0], "shares": mixed}


def training(classes: tuple[str, ...], *, params: Config) -> Training:  # noqa: ARG001
    """Return the rules of learning."""
    return Training(classes)
