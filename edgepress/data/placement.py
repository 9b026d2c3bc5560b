"""Placement: where a picture comes to lie in a model's input; labels are moved by the same one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepress.records.inputs import InputSpec

LETTERBOX = 114
"""Grey level of what a letterbox adds around a picture, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture resized to width x height, its corner `left` and `top` pixels into the input.

    Both are below 0 where the input is a part of the picture.
    """

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
    if spec.fit != "letterbox":
        return _cropped(size, spec)
    ratio = min(spec.width / width, spec.height / height)
    wide = min(spec.width, max(1, round(width * ratio)))
    high = min(spec.height, max(1, round(height * ratio)))
    left, top = (spec.width - wide) // 2, (spec.height - high) // 2
    return Placement(wide, high, left, top, (wide / width, high / height))


def covered(spec: InputSpec) -> tuple[int, int]:
    """Return the width and height that a picture covers whose middle is the input."""
    # By its field alone: an example's settings have no classes of records.
    share: float = getattr(spec.fit, "crop", 1.0)
    return math.floor(spec.width / share), math.floor(spec.height / share)


def _cropped(size: tuple[int, int], spec: InputSpec) -> Placement:
    """Return where a picture lies whose middle is the input, rounded as torchvision rounds."""
    (width, height), (wide, high) = size, covered(spec)
    if wide * height >= high * width:
        high = max(high, height * wide // width)
    else:
        wide = max(wide, width * high // height)
    left, top = -round((wide - spec.width) / 2), -round((high - spec.height) / 2)
    return Placement(wide, high, left, top, (wide / width, high / height))


@dataclass(frozen=True, slots=True)
class Frame:
    """What of a picture lies in a model's input, to tell places of the input in the picture's."""

    size: tuple[int, int]
    """Width and height of what was fitted, in its own pixels."""
    place: Placement
    corner: tuple[int, int] = (0, 0)
    """Where in the whole picture its left upper corner is."""

    def points(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return places [..., 2], x before y, in pixels of the whole picture."""
        framed = np.array([self.place.left, self.place.top], np.float64)
        found = (points.astype(np.float64) - framed) / np.array(self.place.scale)
        return np.asarray(found + np.array(self.corner, np.float64))

    def boxes(self, boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return boxes [n, 4] (left, top, right, bottom) in pixels, none beyond the picture."""
        corners = self.points(boxes.reshape(-1, 2, 2))
        low = np.array(self.corner, np.float64)
        return np.clip(corners, low, low + np.array(self.size)).reshape(-1, 4)

    def grid(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return values [H, W] of the input's pixels for those of the picture, by the nearest."""
        axes = []
        near = (self.place.top, self.place.left)
        for side, scale, start in zip(self.size[::-1], self.place.scale[::-1], near, strict=True):
            axes.append(((np.arange(side) + 0.5) * scale + start).astype(np.int64))
        rows, columns = (
            np.minimum(axis, limit - 1) for axis, limit in zip(axes, values.shape, strict=True)
        )
        return np.asarray(values[rows[:, None], columns])
