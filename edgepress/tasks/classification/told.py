"""An answer of classification for other programs."""

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
    """Return the class and its confidence; None where there is no answer."""
    label = int(answer["label"][0])
    if label < 0:
        return None
    return {"class": classes[label], "score": float(answer["confidence"][0])}
