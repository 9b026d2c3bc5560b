"""An answer of multi-label for other programs."""

from __future__ import annotations

from typing import Any

from edgepress.data.placement import Frame
from edgepress.records.tensors import Arrays


def told(
    answer: Arrays,
    classes: tuple[str, ...],
    frame: Frame,  # noqa: ARG001
    *,
    params: Any,  # noqa: ARG001
) -> dict[str, Any] | None:
    """Return the classes given and the score of every class; None where there is no answer."""
    present, scores = answer["present"][0], answer["scores"][0]
    if (present > 1).any():
        return None
    return {
        "classes": [name for name, given in zip(classes, present, strict=True) if given],
        "scores": {name: float(score) for name, score in zip(classes, scores, strict=True)},
    }
