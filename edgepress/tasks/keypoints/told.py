"""An answer of keypoints for other programs: a place and a score for each point."""

from __future__ import annotations

from typing import Any

from edgepress.data.placement import Frame
from edgepress.records.tensors import Arrays


def told(
    answer: Arrays,
    classes: tuple[str, ...],  # noqa: ARG001
    frame: Frame,
    *,
    params: Any,
) -> dict[str, Any] | None:
    """Return every point, its place in the picture's own pixels; None where there is no answer.

    `sure` says that a score reaches `task.sure`: below it a point may well not be there.
    """
    scores = answer["scores"][0].tolist()
    if min(scores) < 0:
        return None
    places = frame.points(answer["points"][0]).tolist()
    return {
        "points": {
            name: {"x": x, "y": y, "score": score, "sure": score >= params.sure}
            for name, (x, y), score in zip(params.points, places, scores, strict=True)
        }
    }
