"""Window: a part of a picture; training, validation and devices cut it by this one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from PIL import Image


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an upright picture, in its pixels: from left and top up to right and bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(
        cls, box: tuple[float, float, float, float], margin: float, size: tuple[int, int]
    ) -> Self:
        """Return whole pixels, one at least, around a box grown on every side, cut at the border.

        `box` is left, top, right, bottom and `size` width and height, in pixels; `margin` is a
        share of the box's longer side.
        """
        left, top, right, bottom = box
        more = margin * max(right - left, bottom - top)
        columns = _span(left - more, right + more, size[0])
        rows = _span(top - more, bottom + more, size[1])
        return cls(columns[0], rows[0], columns[1], rows[1])

    def within(self, outer: Self) -> Self:
        """Return this window of `outer` as one of the picture that `outer` is of."""
        left, top = outer.left, outer.top
        corners = (self.left + left, self.top + top, self.right + left, self.bottom + top)
        return type(self)(*corners)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def of(self, picture: Image.Image) -> Image.Image:
        """Cut the window out of an upright picture."""
        return picture.crop(self.edges)


def _span(low: float, high: float, side: int) -> tuple[int, int]:
    # Rounded, so that the last bits of a float never decide a pixel.
    first = min(max(0, math.floor(round(low, 2))), side - 1)
    return first, max(min(side, math.ceil(round(high, 2))), first + 1)
