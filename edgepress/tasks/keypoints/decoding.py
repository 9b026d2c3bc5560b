"""Decoding of keypoints: a place and a confidence for each point.

NumPy alone, parameters and input by their fields alone: `edgepress example` copies it to devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors
from edgepress.tasks.keypoints import peaks

NO_ANSWER = -1.0
"""Confidence of every point of an image whose outputs are not finite; its places are NaN."""


def decoded(
    raw: Tensors,
    spec: InputSpec,
    classes: tuple[str, ...],  # noqa: ARG001
    params: Any,
) -> Arrays:
    """Return the answers of n items; one whose outputs are not all finite has none."""
    first = next(iter(raw.values()))
    count, points = first.shape[:2]
    finite = np.all([np.isfinite(m).reshape(count, -1).all(1) for m in raw.values()], axis=0)
    flat = {
        name: np.where(finite.reshape(-1, *[1] * (m.ndim - 1)), m, 0).reshape(-1, *m.shape[2:])
        for name, m in raw.items()
    }
    if params.form == "heatmap":
        places, scores = peaks.of_maps(flat["heatmaps"], params.blur)
    else:
        places, scores = peaks.of_rows(flat["x"], flat["y"], params.blur)
    frame = np.array([spec.width, spec.height], np.float32)
    found = np.clip((places + 0.5) * params.stride, 0, frame).reshape(count, points, 2)
    found[~finite], confidence = np.nan, scores.reshape(count, points)
    confidence[~finite] = NO_ANSWER
    return {
        "points": found.astype(np.float32),
        "scores": confidence.astype(np.float32),
        "frame": np.repeat(frame[None], count, axis=0),
    }
