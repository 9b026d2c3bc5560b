"""Decoding of classification: the class with the highest logit.

NumPy alone, parameters and input by their fields alone: `edgepress example` copies it to devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors

NO_ANSWER = -1
"""Label where an output is not finite: it is wrong whatever the truth."""


def decoded(
    raw: Tensors,
    spec: InputSpec,  # noqa: ARG001
    classes: tuple[str, ...],  # noqa: ARG001
    params: Any,  # noqa: ARG001
) -> Arrays:
    """Return the highest class of logits [n, classes]."""
    logits = np.asarray(raw["logits"], np.float64)
    finite = np.asarray(np.isfinite(logits).all(axis=1))
    shifted = np.where(finite[:, None], logits, 0.0)
    powers = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    confidence = powers.max(axis=1) / powers.sum(axis=1)
    return {
        "label": np.where(finite, shifted.argmax(axis=1), NO_ANSWER).astype(np.int64),
        "confidence": np.where(finite, confidence, 0.0).astype(np.float32),
    }
