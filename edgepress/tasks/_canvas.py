"""What the tasks' pictures have in common: an image as RGB, and a colour for each number."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
UNJUDGED = (128, 128, 128)
"""Grey of what is neither learnt nor judged."""


def rgb(image: Picture) -> Picture:
    """Return an image [H, W, 1 or 3] as RGB [H, W, 3], a copy."""
    return np.broadcast_to(image, (*image.shape[:2], 3)).copy()


def colour(index: int) -> tuple[int, int, int]:
    """Return the colour of a class or point: hues of neighbours lie far apart."""
    red, green, blue = colorsys.hsv_to_rgb((0.09 + 0.61803 * index) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
