"""Pictures of keypoints: a dot for each point over the image, each in a colour of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._canvas import Picture, colour, rgb
from edgepress.tasks.keypoints.labels import Params

_FINE = 4
"""Dots are drawn so many times as large and shrunk, for smooth rims."""
_RADIUS = 1 / 50
"""Of a dot, as a share of the picture's shorter side."""


@dataclass(frozen=True)
class Pictures:
    """Sure points of an answer, labelled points of a truth; hidden ones are half as wide."""

    hub: ClassVar[str] = "keypoint-detection"
    classes: tuple[str, ...]
    params: Params

    def draw(self, image: Picture, answer: Arrays, spec: InputSpec) -> Picture:
        """Return the image [H, W, C], of any size, with dots over it, RGB [H, W, 3]."""
        height, width = image.shape[:2]
        canvas = Image.fromarray(rgb(image))
        scale = np.array([width / spec.width, height / spec.height])
        radius = max(1.0, min(height, width) * _RADIUS)
        for index in self._shown(answer):
            place = answer["points"][0, index].astype(np.float64) * scale
            hidden = "visible" in answer and int(answer["visible"][0, index]) == 1
            dot = _dot((width, height), place, radius / 2 if hidden else radius)
            canvas.paste(colour(index), mask=dot)
        return np.asarray(canvas).copy()

    def caption(self, answer: Arrays) -> str:
        """Return how many points there are, and which is the surest."""
        total, shown = len(self.params.points), self._shown(answer)
        if "scores" not in answer:
            return f"{len(shown)} of {total} points"
        scores = answer["scores"][0]
        if (scores < 0).any():
            return "no answer"
        best = int(scores.argmax())
        surest = f"surest {self.params.points[best]} {scores[best]:.2f}"
        return f"{len(shown)} of {total} points, {surest}"

    def _shown(self, answer: Arrays) -> list[int]:
        if "scores" in answer:
            there = answer["scores"][0] >= self.params.sure
        else:
            there = answer["visible"][0] > 0
        return [int(index) for index in np.flatnonzero(there)]


def pictures(classes: tuple[str, ...], *, params: Params) -> Pictures:
    """Return the rules of pictures."""
    return Pictures(classes, params)


def _dot(size: tuple[int, int], place: npt.NDArray[np.float64], radius: float) -> Image.Image:
    """Return a mask of a disc around a place, with a smooth rim."""
    mask = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    low, high = (place - radius) * _FINE, (place + radius) * _FINE - 1
    ImageDraw.Draw(mask).ellipse((*low.tolist(), *high.tolist()), fill=255)
    return mask.resize(size, Image.Resampling.BOX)
