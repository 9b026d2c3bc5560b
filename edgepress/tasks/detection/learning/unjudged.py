"""Places that no loss speaks of."""

from __future__ import annotations

from torch import Tensor


def unjudged(truth: dict[str, Tensor], middle: Tensor) -> Tensor:
    """Return [N, A]: the middle [A, 2] lies in a crowd or in an object that is not judged."""
    boxes = truth["boxes"]
    left_out = (truth["category"] >= 0) & (truth["crowd"] | truth["ignore"])
    point = middle[None, None]
    within = ((point > boxes[:, :, None, :2]) & (point < boxes[:, :, None, 2:])).all(-1)
    return (within & left_out[..., None]).any(1)
