"""Answered: one picture's answers, told in words, to programs, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.picture import UnusableError, open_picture
from edgepress.data.storage import Storage
from edgepress.prediction.drawing import drawn, rgb
from edgepress.prediction.predictor import Found, Predictor

Box = npt.NDArray[np.float64] | None


def opened(path: Path) -> tuple[bytes, Image.Image]:
    """Return a file and its upright picture of 8 bits; what cannot be used: `UnusableError`."""
    data = Storage("file", Path()).file(str(path))
    return data, open_picture(data).image


@dataclass(frozen=True)
class Answered:
    """A picture with the answer to it, or with those to the objects in its boxes."""

    predictor: Predictor
    picture: Image.Image
    found: Sequence[Found]
    boxes: Box = None

    @classmethod
    def file(cls, path: Path, predictor: Predictor, boxes: Box = None) -> Answered:
        """Answer a picture's file; what cannot be read or answered is a UserError."""
        data, picture = opened(path)
        if boxes is None:
            return cls(predictor, picture, [predictor.whole(picture, data)])
        return cls(predictor, picture, predictor.inside(picture, boxes), boxes)

    def words(self) -> str:
        """Return the answers in a few words."""
        caption = self.predictor.task.pictures.caption
        return "; ".join(caption(each.answer) for each in self.found) or "no box to look in"

    def told(self) -> dict[str, Any]:
        """Return the answers as JSON has them; outputs that are not finite are a UserError."""
        size = {"width": self.picture.width, "height": self.picture.height}
        told = [self._one(each) for each in self.found]
        if self.boxes is None:
            return {**size, **told[0]}
        pairs = zip(self.boxes.tolist(), told, strict=True)
        return {**size, "objects": [{"box": box, **answer} for box, answer in pairs]}

    def drawn(self) -> Image.Image:
        """Return the picture with the answers over it."""
        canvas = rgb(self.picture)
        for each in self.found:
            of = (self.predictor.task, self.predictor.spec)
            canvas = drawn(canvas, each.answer, each.frame, of)
        return Image.fromarray(canvas)

    def _one(self, found: Found) -> dict[str, Any]:
        answer = self.predictor.task.told(found.answer, found.frame)
        if answer is None:
            raise UnusableError("no answer: an output is not finite, or names no class")
        return answer
