"""Run lengths and outlines: what pycocotools 2.0 writes is read, and outlines enclose the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgepress.data.picture import UnusableError
from edgepress.data.sources._rle import Mask, decoded, outlines


def filled(rings: list[list[float]], height: int, width: int) -> Mask:
    """Return which pixels' middles lie in an odd number of rings, each counted for itself."""
    y, x = np.mgrid[:height, :width] + 0.5
    total = np.zeros((height, width), int)
    for ring in rings:
        corners = np.array(ring).reshape(-1, 2)
        inside = np.zeros((height, width), bool)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if x0 == x1:  # pixels to the right of a border that runs down past them
                inside ^= (x > x0) & (y > min(y0, y1)) & (y < max(y0, y1))
        total += inside
    assert total.max(initial=0) <= 1  # no ring lies in another
    return total == 1


def test_text_is_read_when_pycocotools_wrote_it() -> None:
    y, x = np.mgrid[:6, :7]
    mask = (x * x + 3 * y * y + x * y) % 11 < 5
    assert (decoded([6, 7], "031N0000110OO00002060J0N1") == mask).all()


def test_numbers_run_down_the_columns_and_begin_unset() -> None:
    assert decoded([2, 3], [1, 2, 3]).tolist() == [[False, True, False], [True, False, False]]
    assert decoded([1, 2], [0, 2]).all()


@settings(max_examples=200, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_outlines_enclose_what_is_set_and_nothing_else(mask: Mask) -> None:
    rings = outlines(mask)
    assert (filled(rings, *mask.shape) == mask).all()
    assert all(len(ring) >= 8 for ring in rings)


def test_ring_is_cut_where_its_hole_begins() -> None:
    mask = np.ones((5, 6), bool)
    mask[1:4, 2:4] = False
    rings = outlines(mask)
    assert len(rings) == 2
    assert (filled(rings, 5, 6) == mask).all()


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((3, 4), bool)) == []


@pytest.mark.parametrize(
    ("size", "counts", "words"),
    [
        ([2], [4], "size .2. is no height and width"),
        ([2, 0], [0], "is no height and width"),
        ([2**20, 2**20], [2**40], "is no height and width"),
        (None, [4], "size None"),
        ([2, 2], [3], "runs of 3 pixels for 2 x 2"),
        ([2, 2], [-1, 5], "no lengths of runs"),
        ([2, 2], [1.5, 2.5], "no lengths of runs"),
        ([2, 2], None, "no lengths of runs"),
        ([2, 2], [1] * 300_000, "no lengths of runs"),
        ([2, 2], "oooooooooooooooooo", "hold no run lengths"),
        ([2, 2], "~", "hold no run lengths"),
        ([2, 2], "", "runs of 0 pixels"),
    ],
)
def test_what_is_no_mask_is_refused(size: Any, counts: Any, words: str) -> None:
    with pytest.raises(UnusableError, match=words):
        decoded(size, counts)
