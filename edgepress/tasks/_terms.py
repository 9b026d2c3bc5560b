"""What losses of classes are made of: the term of each class, [N, classes], not yet summed.

Asymmetric: Ridnik et al. 2021, https://arxiv.org/abs/2009.14119.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

_LEAST = 1e-8
"""Least base of a power: that of 0 has no slope for powers below 1."""


def cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the cross-entropy of classes that exclude one another."""
    return -wanted * log_softmax(logits, 1)


def asymmetric(
    logits: Tensor, wanted: Tensor, focus_positive: float, focus_negative: float, margin: float
) -> Tensor:
    """Return the asymmetric loss of classes each there or not; cross-entropy where all are 0."""
    share = logits.sigmoid()
    there = logsigmoid(logits) * power(1 - share, focus_positive)
    if margin:
        left = (share - margin).clamp(min=0.0)
        absent = (1 - left).log()
    else:  # the logarithm of a sum would lose what is next to certain
        left, absent = share, logsigmoid(-logits)
    return -(wanted * there + (1 - wanted) * absent * power(left, focus_negative))


def power(base: Tensor, exponent: float) -> Tensor | float:
    """Return base ** exponent with a slope at 0; without an exponent 1."""
    return base.clamp(min=_LEAST) ** exponent if exponent else 1.0
