"""Vectors with the structure curation looks for, for every room that works on a selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

COMPLEXITY = {
    "method": "concept_complexity", "keep": 0.3, "concepts": 12, "passes": 2, "neighbours": 5,
    "temperature": 0.1, "floor": 1, "class_floor": 0, "deduplicate": 0.995,
    "duplicate_kept": "farthest", "order": "hard",
}  # fmt: skip


def clusters(rows: int, width: int = 16, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return vectors around 12 directions, some tight and some wide, with 40 exact copies."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, width))
    label = rng.integers(0, 12, rows)
    wide = rng.uniform(0.05, 0.6, (12, 1))[label]
    vectors = (centres[label] + rng.standard_normal((rows, width)) * wide).astype(np.float32)
    vectors[-40:] = vectors[:40]
    return vectors


@pytest.fixture
def vectors() -> Callable[..., npt.NDArray[np.float32]]:
    """Return the maker of vectors, `clusters`."""
    return clusters


@pytest.fixture
def complexity() -> dict[str, Any]:
    """Return parameters of concept complexity that suit `vectors`."""
    return dict(COMPLEXITY)
