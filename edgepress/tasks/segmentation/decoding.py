"""Decoding of segmentation: the class of every pixel, by the highest logit.

NumPy alone, parameters and input by their fields alone: `edgepress example` copies it to devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors

NO_ANSWER = 254
"""Class of a pixel whose outputs are not finite: wrong whatever the truth."""


def decoded(
    raw: Tensors,
    spec: InputSpec,  # noqa: ARG001
    classes: tuple[str, ...],
    params: Any,
) -> Arrays:
    """Return the class of every pixel of n items."""
    if params.argmax:
        mask = np.asarray(raw["mask"])
        known = (mask >= 0) & (mask < len(classes))
        return {"mask": np.where(known, mask, NO_ANSWER).astype(np.uint8)}
    logits = np.asarray(raw["logits"])
    finite = np.isfinite(logits).all(axis=1)
    return {"mask": np.where(finite, logits.argmax(axis=1), NO_ANSWER).astype(np.uint8)}
