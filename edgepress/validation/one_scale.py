"""Outputs that share one scale of 8 bits, seen in their values alone, whatever the file's format.

Boxes and scores that are joined before they are quantized get one scale for both: the wider range
takes most of the 256 steps. How much that costs depends on the ranges, from nothing that an error
or an agreement shows to every box, so the steps themselves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from edgepress.records.tensors import Array, Arrays

_LEVELS = 256
_FEWEST = 8
"""Different values that tell a grid; with fewer, two grids could look alike by chance."""
_PEEK = 8192
"""Values that are looked at first: outputs in float have more levels among them."""
_UNEVEN = 0.25
"""Of a step: how far a gap may be from whole steps; float16 rounds large values so much."""
_ALIKE = 1e-3
"""Two steps that differ by less are one, by more they are two; float16 again."""


def sharing(outputs: Arrays) -> tuple[tuple[str, str], ...]:
    """Return the pairs of outputs [n, ...] whose values lie on one grid of at most 256 steps."""
    return tuple(_sharing(outputs))


def _sharing(outputs: Arrays) -> Iterator[tuple[str, str]]:
    levels = {name: _levels(values) for name, values in outputs.items()}
    steps = {name: _step(held) for name, held in levels.items() if held is not None}
    for a, b in combinations(steps, 2):
        one, other = steps[a], steps[b]
        if one and other and abs(one / other - 1) < _ALIKE and _meet(levels[a], levels[b]):
            yield a, b


def _levels(values: Array) -> npt.NDArray[np.float64] | None:
    """Return the different values in order; None where there are too many or too few for a grid."""
    if not np.issubdtype(values.dtype, np.floating):
        return None
    flat = values.reshape(-1)
    if len(np.unique(flat[:: max(1, len(flat) // _PEEK)])) > _LEVELS:
        return None
    found = np.unique(flat[np.isfinite(flat)]).astype(np.float64)
    return found if _FEWEST <= len(found) <= _LEVELS else None


def _step(levels: npt.NDArray[np.float64]) -> float | None:
    """Return the distance of neighbours on the grid that the levels lie on, if they do."""
    gaps = np.diff(levels)
    steps = gaps / np.median(gaps)
    whole = np.rint(steps)
    if whole.min() < 1 or np.abs(steps - whole).max() > _UNEVEN or whole.sum() >= _LEVELS:
        return None
    return float((levels[-1] - levels[0]) / whole.sum())


def _meet(a: npt.NDArray[np.float64] | None, b: npt.NDArray[np.float64] | None) -> bool:
    """Say whether most levels in the range that both have are the very same numbers."""
    if a is None or b is None:
        return False
    low, high = max(a[0], b[0]), min(a[-1], b[-1])
    within = [each[(each >= low) & (each <= high)] for each in (a, b)]
    fewer = min(map(len, within))
    return 2 * len(np.intersect1d(*within)) >= fewer
