"""Pictures of detection: boxes over the image, each in its class's colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._canvas import UNJUDGED, Picture, colour, rgb
from edgepress.tasks.detection.labels import Params


@dataclass(frozen=True)
class Pictures:
    """Sure boxes of an answer, all boxes of a truth; those not judged are grey."""

    hub: ClassVar[str] = "object-detection"
    classes: tuple[str, ...]
    params: Params

    def draw(self, image: Picture, answer: Arrays, spec: InputSpec) -> Picture:
        """Return the image [H, W, C] with boxes over it, RGB [H, W, 3]."""
        height, width = image.shape[:2]
        canvas = Image.fromarray(rgb(image))
        pen = ImageDraw.Draw(canvas)
        thick = max(1, round(min(height, width) / 80))
        sizes = np.tile([width / spec.width, height / spec.height], 2)
        for place in self._shown(answer):
            box = answer["boxes"][0, place] * sizes
            pen.rectangle(
                (box[0], box[1], max(box[0], box[2] - 1), max(box[1], box[3] - 1)),
                outline=self._colour(answer, place),
                width=thick,
            )
        return np.asarray(canvas).copy()

    def caption(self, answer: Arrays) -> str:
        """Return how many boxes of every class there are, the most frequent first."""
        if answer["category"][0, 0] < -1:
            return "no answer"
        counts = np.bincount(answer["category"][0, self._shown(answer)], minlength=1)
        order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
        return ", ".join(f"{counts[index]} {self.classes[index]}" for index in order) or "nothing"

    def _shown(self, answer: Arrays) -> npt.NDArray[np.int64]:
        there = answer["category"][0] >= 0
        if "scores" in answer:
            there = there & (answer["scores"][0] >= self.params.sure)
        return np.flatnonzero(there)

    def _colour(self, answer: Arrays, place: int) -> tuple[int, ...]:
        if "ignore" in answer and (answer["ignore"] | answer["crowd"])[0, place]:
            return UNJUDGED
        return colour(int(answer["category"][0, place]))


def pictures(classes: tuple[str, ...], *, params: Params) -> Pictures:
    """Return the rules of pictures."""
    return Pictures(classes, params)
