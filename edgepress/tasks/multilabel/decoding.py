"""Decoding of multi-label: a confidence for each class, and which of them are given.

NumPy alone, parameters and input by their fields alone: `edgepress example` copies it to devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors

NO_ANSWER = 255
"""Value of `present` of an image whose outputs are not finite: wrong whatever the truth."""


def decoded(
    raw: Tensors,
    spec: InputSpec,  # noqa: ARG001
    classes: tuple[str, ...],  # noqa: ARG001
    params: Any,
) -> Arrays:
    """Return the sigmoid of logits [n, classes] and where it reaches the threshold."""
    logits = np.asarray(raw["logits"], np.float64)
    finite = np.isfinite(logits).all(axis=1, keepdims=True)
    # By logarithms, since exp overflows where a sigmoid is next to 0.
    scores = np.exp(-np.logaddexp(0.0, -np.where(finite, logits, 0.0))).astype(np.float32)
    present = (scores >= params.threshold).astype(np.uint8)
    return {
        "scores": np.where(finite, scores, np.float32(0)),
        "present": np.where(finite, present, np.uint8(NO_ANSWER)),
    }
