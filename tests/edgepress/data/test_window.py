from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgepress.data.window import Window


@pytest.mark.parametrize(
    ("box", "margin", "edges"),
    [
        ((10, 20, 30, 60), 0.0, (10, 20, 30, 60)),
        ((10, 20, 30, 60), 0.25, (0, 10, 40, 70)),
        ((10.5, 20.5, 30.5, 60.5), 0.1, (6, 16, 35, 65)),
        ((0, 0, 100, 80), 0.5, (0, 0, 100, 80)),
        ((99.2, 79.6, 99.4, 79.7), 0.0, (99, 79, 100, 80)),
        ((10 - 1e-6, 20 + 1e-6, 30 + 1e-6, 60 - 1e-6), 0.0, (10, 20, 30, 60)),
        ((9.99, 20, 30.01, 60), 0.0, (9, 20, 31, 60)),
        ((12.004, 20, 12.0045, 60), 0.0, (12, 20, 13, 60)),
        ((99.996, 20, 99.999, 60), 0.0, (99, 20, 100, 60)),
    ],
)
def test_window_is_whole_pixels_around_the_grown_box_and_ends_at_the_border(
    box: tuple[float, float, float, float], margin: float, edges: tuple[int, int, int, int]
) -> None:
    assert Window.around(box, margin, (100, 80)).edges == edges


def test_window_cuts_its_own_pixels() -> None:
    pixels = np.arange(80 * 100, dtype=np.int64).reshape(80, 100) % 251
    picture = Image.fromarray(pixels.astype(np.uint8))
    window = Window(3, 7, 20, 11)
    assert window.size == (17, 4)
    assert np.array_equal(np.asarray(window.of(picture)), pixels[7:11, 3:20])


def test_window_of_a_window_shows_the_same_pixels() -> None:
    picture = Image.fromarray(np.arange(20 * 30, dtype=np.uint8).reshape(20, 30))
    outer, inner = Window(5, 3, 25, 18), Window(2, 4, 9, 10)
    found = inner.within(outer).of(picture)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(inner.of(outer.of(picture))))
