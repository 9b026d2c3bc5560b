"""Learning of segmentation: cross-entropy of every pixel plus soft Dice of every class.

Dice as a loss: V-Net, Milletari et al. 2016, https://arxiv.org/abs/1606.04797.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, one_hot, softmax

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.segmentation.labels import IGNORED, Params

if TYPE_CHECKING:
    from edgepress.tasks.task import Mix, Mixture
    from edgepress.training.augment import Warp

Outputs = dict[str, Tensor]
_SMOOTH = 1.0


class Argmax(nn.Module):
    """A network whose logits become the class of each pixel, int32 [N, H, W]."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, C, H, W] to classes."""
        return self.network(images).argmax(1).to(torch.int32)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Training:
    """Logits [N, classes, H, W] against masks [N, H, W]."""

    classes: tuple[str, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return `logits`, as large as the input."""
        shape = (1, len(self.classes), spec.height, spec.width)
        return (TensorSpec(name="logits", shape=shape, layout="NCHW"),)

    def loss(self, outputs: Outputs, truth: Outputs, smoothing: float = 0.0) -> Outputs:
        """Return the sum of both losses, and each; ignored pixels count in neither."""
        logits, mask = outputs["logits"].float(), truth["mask"].long()
        pixels = cross_entropy(logits, mask, ignore_index=IGNORED, label_smoothing=smoothing)
        if not (mask != IGNORED).any():
            pixels = logits.sum() * 0.0
        dice = _soft_dice(logits, mask)
        return {"loss": pixels + dice, "cross_entropy": pixels, "dice_loss": dice}

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return KL(teacher || student) of softened logits, the mean over all pixels."""
        far = kl_div(
            log_softmax(student["logits"].float() / temperature, 1),
            log_softmax(teacher["logits"].float() / temperature, 1),
            reduction="none",
            log_target=True,
        )
        return far.sum(1).mean()

    def warp(self, truth: Outputs, by: Warp) -> Outputs:
        """Move masks as their pictures are moved; what comes in from outside is ignored."""
        return {"mask": by.move(truth["mask"][:, None], IGNORED)[:, 0]}

    def mixing(self, kind: Mixture) -> Mix | None:
        """Return how masks lie side by side or over another; a blended pixel has no class."""
        if kind == "copy_paste":
            return self._pasted
        return _side_by_side if kind == "mosaic" else None

    def deployed(self, network: nn.Module) -> nn.Module:
        """Return the network, with the argmax in its graph where the task asks for it."""
        return Argmax(network) if self.params.argmax else network

    def _pasted(self, parts: Sequence[Outputs], shares: Tensor) -> Outputs:
        """Return masks with the class of the second part that has the fewest pixels there.

        A picture all of one class has nothing that could be told from what is around it.
        """
        under, over = (part["mask"] for part in parts)
        each = torch.arange(len(self.classes), device=over.device)
        counts = torch.stack([(over == label).sum((1, 2)) for label in each], 1)
        there = counts > 0
        rarest = torch.where(there, counts, over[0].numel() + 1).argmin(1)
        several = (there.sum(1) > 1)[:, None, None]
        pasted = (over == rarest[:, None, None]) & several & (shares[1] > 0)
        return {"mask": torch.where(pasted, over, under), "pasted": pasted}


def training(classes: tuple[str, ...], *, params: Params) -> Training:
    """Return the rules of learning."""
    return Training(classes, params)


def _side_by_side(parts: Sequence[Outputs], shares: Tensor) -> Outputs:  # noqa: ARG001
    """Return as one mask those that are ignored wherever another lies."""
    whole = parts[0]["mask"]
    for part in parts[1:]:
        whole = torch.where(whole == IGNORED, part["mask"], whole)
    return {"mask": whole}


def _soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Return 1 less the mean soft Dice over the classes, taken over the whole batch."""
    judged = (mask != IGNORED)[:, None]
    classes = logits.shape[1]
    wanted = one_hot(torch.where(judged[:, 0], mask, 0), classes).permute(0, 3, 1, 2) * judged
    shares = softmax(logits, 1) * judged
    overlap = (shares * wanted).sum((0, 2, 3))
    both = shares.sum((0, 2, 3)) + wanted.sum((0, 2, 3))
    return 1 - ((2 * overlap + _SMOOTH) / (both + _SMOOTH)).mean()
