"""Binary cross-entropy: each class is there or not, whatever the others are.

For classification with mixed pictures: Wightman et al. 2021, "ResNet strikes back",
https://arxiv.org/abs/2110.00476. Summed over classes, where timm takes their mean.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from edgepress.params import Config
from edgepress.tasks._terms import asymmetric
from edgepress.training.losses.wanted import Wanted


class Params(Config):
    """What counts as there on a mixed picture."""

    method: Literal["binary_cross_entropy"]
    threshold: float | None = Field(default=None, ge=0, lt=1)
    """Share of a mixed picture above which its class counts as wholly there, and below not at all;
    null keeps the shares."""


def terms(logits: Tensor, wanted: Wanted, *, params: Params) -> Tensor:
    """Return the cost of each class, [N, classes]."""
    shares = wanted.shares
    if params.threshold is not None:
        shares = (shares > params.threshold).to(shares)
    return asymmetric(logits, wanted.smooth(shares), 0.0, 0.0, 0.0)
