"""Asymmetric loss: what is rightly not given is lessened more than what is rightly given.

Paper: Ridnik et al. 2021, https://arxiv.org/abs/2009.14119: most classes are not on most images, so
that these would drown the rest.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from edgepress.params import Config
from edgepress.tasks import _terms
from edgepress.training.losses.wanted import Wanted


class Params(Config):
    """How much each side is lessened."""

    method: Literal["asymmetric"]
    focus_positive: float = Field(ge=0, le=10)
    """Power by which classes that are there are lessened once they are known; the paper's is 0."""
    focus_negative: float = Field(ge=0, le=10)
    """The same for classes that are not there; the paper's is 4."""
    margin: float = Field(ge=0, lt=1)
    """Confidence up to which a class that is not there counts nothing; the paper's is 0.05."""


def terms(logits: Tensor, wanted: Wanted, *, params: Params) -> Tensor:
    """Return the cost of each class, [N, classes]."""
    shares = wanted.smooth(wanted.shares)
    focus = (params.focus_positive, params.focus_negative)
    return _terms.asymmetric(logits, shares, *focus, params.margin)
