from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from edgepress.records.inputs import InputSpec
from edgepress.training.examples import Examples


@pytest.fixture(scope="session")
def digits() -> tuple[Examples, Examples]:
    """400 training and 200 validation digits, 8 x 8 pixels."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    pixels = (data.images[order, ..., None] * 15.9).astype(np.uint8)
    labels = data.target[order].astype(np.int64)
    spec = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
    return (
        Examples(pixels[:400], {"label": labels[:400]}, spec),
        Examples(pixels[400:600], {"label": labels[400:600]}, spec),
    )
