"""Boxes in NumPy: from a network's maps to boxes, their overlap, and which of them are kept.

Distances are of a place's middle from the four sides of the box, as logarithms of strides: a step
of INT8 is then the same share of a box, whatever its size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
LARGEST = 8.0
"""Logarithm of a distance above which it is cut: no box is 3,000 strides wide."""
_CANDIDATES = 1000
"""Boxes of one class that are held against one another, the surest."""


def middles(height: int, width: int, stride: int) -> Floats:
    """Return the middle x, y of each place of a map, row by row, [h * w, 2], in input pixels."""
    rows, columns = -(-height // stride), -(-width // stride)
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    return ((np.stack([x, y], axis=1) + 0.5) * stride).astype(np.float32)


def boxes_of(distances: Floats, places: Floats, stride: Floats) -> Floats:
    """Map logarithms of distances [..., 4] to left, top, right, bottom, in input pixels.

    `places` [..., 2] are the middles, `stride` [..., 1] the pixels that a distance counts in.
    """
    far = np.exp(np.minimum(distances, LARGEST)) * stride
    return np.concatenate([places - far[..., :2], places + far[..., 2:]], axis=-1)


def overlaps(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the intersection over union of each box of a [N, 4] with each of b [M, 4]."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    union = _areas(a)[:, None] + _areas(b)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def kept(boxes: Floats, scores: Floats, overlap: float) -> npt.NDArray[np.int64]:
    """Return which boxes stay of [N, 4], surest first: non-maximum suppression, greedy."""
    order = np.argsort(-scores, kind="stable")[:_CANDIDATES]
    clash = overlaps(boxes[order], boxes[order]) > overlap
    gone = np.zeros(len(order), bool)
    for rank in range(len(order)):
        if not gone[rank]:
            gone[rank + 1 :] |= clash[rank, rank + 1 :]
    return order[~gone]


def _areas(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    sides: npt.NDArray[Any] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides.prod(axis=1)
