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
        """Return whole pixels around a box grown on every side, cut at the picture's border.

        `box` is left, top, right, bottom and `size` width and height, in pixels; `margin` is a
        share of the box's longer side.
        """
        left, top, right, bottom = box
        more = margin * max(right - left, bottom - top)
        return cls(
            max(0, math.floor(left - more)),
            max(0, math.floor(top - more)),
            min(size[0], math.ceil(right + more)),
            min(size[1], math.ceil(bottom + more)),
        )

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
