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
_AHEAD, _HEAD = 4096, 32
"""Boxes that are looked at together, and of these the ones settled at once: temporaries stay small.
"""


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
    return with_crowds(a, b, np.zeros(len(b), bool))


def with_crowds(
    a: npt.NDArray[Any], b: npt.NDArray[Any], crowd: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Return `overlaps`; with a crowd of b, what share of the box of a lies in it (COCO's rule)."""
    shared, own = _shared(a, b), _areas(a)[:, None]
    whole = np.where(crowd, own, own + _areas(b) - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))


def kept(
    boxes: Floats,
    scores: Floats,
    overlap: float,
    category: npt.NDArray[Any] | None = None,
    most: int | None = None,
) -> npt.NDArray[np.int64]:
    """Return which boxes stay of [N, 4], surest first: non-maximum suppression, greedy, exact.

    A box goes where a surer one of its `category` [N] that stays overlaps it more than `overlap`.
    Only the `most` surest that stay are looked for; no candidate is left out to be quick.
    """
    order = np.argsort(-scores, kind="stable")
    rows = [*boxes.T, _areas(boxes)] + ([] if category is None else [category])
    sides = np.stack(rows).astype(np.float32)[:, order]
    stay = np.zeros(0, np.int64)
    wanted = len(order) if most is None else most
    for start in range(0, len(order), _AHEAD):
        rest = np.arange(start, min(start + _AHEAD, len(order)))
        for begin in range(0, len(stay), _HEAD):
            rest = rest[~_covered(sides[:, stay[begin : begin + _HEAD]], sides[:, rest], overlap)]
        while len(rest) and len(stay) < wanted:
            head, rest = rest[:_HEAD], rest[_HEAD:]
            head = head[_first(sides[:, head], overlap)]
            stay = np.concatenate([stay, head])
            rest = rest[~_covered(sides[:, head], sides[:, rest], overlap)]
        if len(stay) >= wanted:
            break
    return order[stay[:wanted]]


def _first(sides: Floats, overlap: float) -> npt.NDArray[np.bool_]:
    """Return [N]: no box before it that stays covers it; greedy."""
    clash = _clash(sides, sides, overlap)
    gone = np.zeros(len(clash), bool)
    for rank in range(len(gone)):
        if not gone[rank]:
            gone[rank + 1 :] |= clash[rank, rank + 1 :]
    return ~gone


def _covered(surer: Floats, sides: Floats, overlap: float) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = _clash(surer, sides, overlap).any(axis=0)
    return found


def _clash(a: Floats, b: Floats, overlap: float) -> npt.NDArray[np.bool_]:
    """Return [N, M] for [5 or 6, N] and [5 or 6, M], in place for speed: `overlaps` above a bound.

    Rows are left, top, right, bottom, area and, where there are several, the class.
    """
    shared = np.minimum(a[2, :, None], b[2])
    shared -= np.maximum(a[0, :, None], b[0])
    np.maximum(shared, 0, out=shared)
    other = np.minimum(a[3, :, None], b[3])
    other -= np.maximum(a[1, :, None], b[1])
    np.maximum(other, 0, out=other)
    shared *= other
    union = np.add(a[4, :, None], b[4], out=other)
    union -= shared
    union *= overlap
    found: npt.NDArray[np.bool_] = shared > union
    if len(a) > 5:
        found &= a[5, :, None] == b[5]
    return found


def _shared(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    sides = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - low, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _areas(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    sides: npt.NDArray[Any] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])
