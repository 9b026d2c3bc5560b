"""Learning of classification: cross-entropy of logits [N, classes]."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
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
        """Return the cross-entropy and the batch's accuracy; `smoothing` goes to all classes."""
        logits, labels = outputs["logits"], truth["label"]
        right = (logits.detach().argmax(1) == labels).float().mean()
        loss = cross_entropy(logits, labels, label_smoothing=smoothing)
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

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network: its logits are exported."""
        return network


def training(classes: tuple[str, ...], *, params: Config) -> Training:  # noqa: ARG001
    """Return the rules of learning."""
    return Training(classes)
