"""Placement: where a picture comes to lie in a model's input; labels are moved by the same one."""

from __future__ import annotations

from dataclasses import dataclass

from edgepress.records.inputs import InputSpec

LETTERBOX = 114
"""Grey level of what a letterbox adds around a picture, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture resized to width x height, its corner `left` and `top` pixels into the input."""

    width: int
    height: int
    left: int
    top: int
    scale: tuple[float, float]
    """Pixels of the input for one of the picture, across and down."""

    @property
    def rows(self) -> slice:
        """Rows of the input that hold the picture."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Columns of the input that hold the picture."""
        return slice(self.left, self.left + self.width)


def placement(size: tuple[int, int], spec: InputSpec) -> Placement:
    """Return where a picture of `size` (width, height) lies in the input of `spec`."""
    width, height = size
    if spec.fit == "stretch":
        return Placement(spec.width, spec.height, 0, 0, (spec.width / width, spec.height / height))
    ratio = min(spec.width / width, spec.height / height)
    wide = min(spec.width, max(1, round(width * ratio)))
    high = min(spec.height, max(1, round(height * ratio)))
    left, top = (spec.width - wide) // 2, (spec.height - high) // 2
    return Placement(wide, high, left, top, (wide / width, high / height))
