"""Pictures of multi-label: the image itself, its classes in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._canvas import Picture, rgb
from edgepress.tasks.multilabel.decoding import NO_ANSWER
from edgepress.tasks.multilabel.labels import Params


@dataclass(frozen=True)
class Pictures:
    """Nothing is drawn over an image."""

    hub: ClassVar[str] = "image-classification"
    classes: tuple[str, ...]

    def draw(self, image: Picture, answer: Arrays, spec: InputSpec) -> Picture:  # noqa: ARG002
        """Return the image [H, W, C] as RGB [H, W, 3]."""
        return rgb(image)

    def caption(self, answer: Arrays) -> str:
        """Return the classes that are given, the surest first and how sure; a truth's in order."""
        present = answer["present"][0]
        if (present == NO_ANSWER).any():
            return "no answer"
        given = np.flatnonzero(present)
        if "scores" not in answer:
            return ", ".join(self.classes[index] for index in given) or "none"
        scores = answer["scores"][0]
        given = given[np.argsort(-scores[given], kind="stable")]
        named = [f"{self.classes[index]} {scores[index]:.0%}" for index in given]
        best = int(scores.argmax())
        return ", ".join(named) or f"none, likeliest {self.classes[best]} {scores[best]:.0%}"


def pictures(classes: tuple[str, ...], *, params: Params) -> Pictures:  # noqa: ARG001
    """Return the rules of pictures."""
    return Pictures(classes)
