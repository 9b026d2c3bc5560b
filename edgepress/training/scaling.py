"""Scaling: a loss in float16 is multiplied, so that small gradients are not rounded to nothing.

Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740. The factor doubles after many good steps
and is halved by a step whose gradients overflow, which is left out. torch's GradScaler asks for an
optimizer of torch's own.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_SCALE, _GOOD = "scaling/scale", "scaling/good"
FIRST = 2.0**16
PATIENCE = 2000
"""Good steps after which the factor doubles."""


class Scaling:
    """The factor of one run; without need of it nothing is scaled."""

    def __init__(self, kept: dict[str, Tensor], needed: bool) -> None:
        """Begin; `kept` is what checkpoints keep, the factor among it."""
        self._kept, self._needed = kept, needed
        if needed:
            kept.update({_SCALE: torch.tensor(FIRST), _GOOD: torch.tensor(0.0)})

    def scaled(self, loss: Tensor) -> Tensor:
        """Return what gradients are made of."""
        return loss * self._kept[_SCALE].to(loss.device) if self._needed else loss

    def ready(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Bring gradients to their own size; False where they overflowed: leave the step out."""
        if not self._needed:
            return True
        gradients = [each.grad for each in parameters if each.grad is not None]
        for gradient in gradients:
            gradient.div_(self._kept[_SCALE].to(gradient.device))
        finite = bool(torch.stack([each.isfinite().all() for each in gradients]).all())
        self._kept[_GOOD] = self._kept[_GOOD] + 1 if finite else torch.tensor(0.0)
        if not finite:
            self._kept[_SCALE] = self._kept[_SCALE] / 2
        elif self._kept[_GOOD] >= PATIENCE:
            self._kept[_SCALE], self._kept[_GOOD] = self._kept[_SCALE] * 2, torch.tensor(0.0)
        return finite
