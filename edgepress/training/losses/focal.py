"""Focal loss: what is known already counts little, so that many easy items do not drown a few.

Paper: Lin et al. 2017, https://arxiv.org/abs/1708.02002. Of classes that exclude one another the
share of the true one is the softmax's, otherwise each class has its own; `class_weights` are its
alpha.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import log_softmax

from edgepress.params import Config
from edgepress.tasks._terms import asymmetric, power
from edgepress.training.losses.wanted import Wanted


class Params(Config):
    """How much what is known is lessened."""

    method: Literal["focal"]
    focus: float = Field(ge=0, le=10)
    """Power gamma of what is missing to certainty, by which a term is lessened; 0 is cross-entropy,
    2 the paper's."""


def terms(logits: Tensor, wanted: Wanted, *, params: Params) -> Tensor:
    """Return the cost of each class, [N, classes]."""
    shares = wanted.smooth(wanted.shares)
    if not wanted.exclusive:
        return asymmetric(logits, shares, params.focus, params.focus, 0.0)
    known = log_softmax(logits, 1)
    return -shares * known * power(1 - known.exp(), params.focus)
