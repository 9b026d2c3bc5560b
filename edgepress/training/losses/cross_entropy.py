"""Cross-entropy of classes that exclude one another: what classification learns by anyway."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from edgepress.params import Config
from edgepress.tasks import _terms
from edgepress.training.losses.wanted import Wanted

EXCLUSIVE = True
"""Only where an item has one of the classes."""


class Params(Config):
    """Nothing to set."""

    method: Literal["cross_entropy"]


def terms(logits: Tensor, wanted: Wanted, *, params: Params) -> Tensor:  # noqa: ARG001
    """Return the cost of each class, [N, classes]."""
    return _terms.cross_entropy(logits, wanted.smooth(wanted.shares))
