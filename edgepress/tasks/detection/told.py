"""An answer of detection for other programs: objects with their boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.data.placement import Frame
from edgepress.records.tensors import Arrays


def told(
    answer: Arrays, classes: tuple[str, ...], frame: Frame, *, params: Any
) -> dict[str, Any] | None:
    """Return all objects, the surest first, in the picture's own pixels; None: no answer.

    A box is left, top, right, bottom; `sure` says that its score reaches `task.sure`.
    """
    category = answer["category"][0]
    if category[0] < -1:
        return None
    there = np.flatnonzero(category >= 0)
    rows = zip(
        category[there].tolist(),
        answer["scores"][0, there].tolist(),
        frame.boxes(answer["boxes"][0, there]).tolist(),
        strict=True,
    )
    objects = [
        {"class": classes[index], "score": score, "sure": score >= params.sure, "box": box}
        for index, score, box in rows
    ]
    return {"objects": sorted(objects, key=lambda each: -each["score"])}
