"""Masks as COCO's run lengths, and the outlines of what is set in them, exact to the pixel.

Format: https://github.com/cocodataset/cocoapi, common/maskApi.h. Runs go down the columns, unset
first. As text each number is written in groups of five bits from the lowest, 48 added, the sixth
bit set where more follow, the sign in the last; from the fourth run on it is the difference from
the run two before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.data.picture import MAX_PIXELS, UnusableError

Mask = npt.NDArray[np.bool_]

_MOST_RUNS = 200_000


def decoded(size: Any, counts: Any) -> Mask:
    """Return the mask [H, W] of `size` [H, W] and `counts`; what is none is `UnusableError`."""
    if not _whole(size) or len(size) != 2 or min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise UnusableError(f"unreadable label: mask: size {str(size)[:60]} is no height and width")
    runs = _runs(counts) if isinstance(counts, str) else counts
    if not _whole(runs) or len(runs) > _MOST_RUNS or min(runs, default=0) < 0:
        raise UnusableError("unreadable label: mask: counts are no lengths of runs")
    if sum(runs) != size[0] * size[1]:
        raise UnusableError(
            f"unreadable label: mask: runs of {sum(runs)} pixels for {size[0]} x {size[1]}"
        )
    flags = np.arange(len(runs)) % 2 == 1
    mask: Mask = np.repeat(flags, runs).reshape(size[1], size[0]).T
    return mask


def outlines(mask: Mask) -> list[list[float]]:
    """Return rings x, y, x, y ... along pixel borders; each encloses set pixels alone.

    Pixels that touch at a corner are not joined. A mask with holes is cut from top to bottom where
    each hole begins, so that no ring has to go round one.
    """
    loops = _loops(mask)
    cuts = sorted({_first(loop)[1] for loop in loops if not mask[_first(loop)]})
    if not cuts:
        return [_flat(loop, 0) for loop in loops]
    rings = []
    for left, right in zip([0, *cuts], [*cuts, mask.shape[1]], strict=True):
        rings += [_flat(loop, left) for loop in _loops(mask[:, left:right])]
    return rings


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int for each in values)


def _runs(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 40:
            raise UnusableError("unreadable label: mask: counts hold no run lengths")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs


def _first(loop: list[tuple[int, int]]) -> tuple[int, int]:
    """Return row and column of the pixel below and right of a loop's first corner from the top."""
    return min(loop)


def _flat(loop: list[tuple[int, int]], left: int) -> list[float]:
    return [float(value) for row, column in loop for value in (column + left, row)]


def _loops(mask: Mask) -> list[list[tuple[int, int]]]:
    """Return the closed ways along the border of what is set, as the (row, column) of corners.

    Along a row of corners borders run from the first to the second, from the third to the fourth
    and so on, and so they do along a column: each corner has one partner either way.
    """
    rows, columns, swapped = _corners(mask)
    if not len(rows):
        return []
    copies = np.arange(len(rows))
    across = _partners(np.lexsort((copies, columns, rows)))
    down = _partners(np.lexsort((np.where(swapped, -copies, copies), rows, columns)))
    places = list(zip(rows.tolist(), columns.tolist(), strict=True))
    left = [True] * len(places)
    loops = []
    for start in range(len(places)):
        loop, corner = [], start
        while left[corner]:
            partner = across[corner]
            left[corner] = left[partner] = False
            loop += [places[corner], places[partner]]
            corner = down[partner]
        if loop:
            loops.append(loop)
    return loops


def _corners(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Mask]:
    """Return rows and columns of corners, twice where two pixels touch at one.

    There the first has the border to the left; the flag says that it has the border below as well,
    and not the one above.
    """
    padded = np.pad(mask, 1)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    touching = (a == d) & (b == c) & (a != b)
    count = (a ^ b ^ c ^ d) + 2 * touching
    rows, columns = (np.repeat(place, count[count > 0]) for place in np.nonzero(count))
    return rows, columns, (touching & b)[rows, columns]


def _partners(order: npt.NDArray[np.int64]) -> list[int]:
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    found: list[int] = partner.tolist()
    return found
