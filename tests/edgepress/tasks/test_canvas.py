"""What the tasks draw with: images as RGB, and colours that can be told apart."""

from __future__ import annotations

import itertools

import numpy as np

from edgepress.tasks._canvas import UNJUDGED, colour, rgb


def test_colours_are_far_apart_when_classes_are_few() -> None:
    chosen = [UNJUDGED, *(colour(index) for index in range(8))]
    for one, other in itertools.combinations(chosen, 2):
        assert np.abs(np.subtract(one, other)).max() > 50


def test_rgb_is_a_copy_when_the_image_is_grey_or_colour() -> None:
    for channels in (1, 3):
        image = np.full((2, 4, channels), 7, np.uint8)
        drawn = rgb(image)
        drawn[0, 0] = 255
        assert drawn.shape == (2, 4, 3)
        assert (image == 7).all()
        assert (drawn[1] == 7).all()
