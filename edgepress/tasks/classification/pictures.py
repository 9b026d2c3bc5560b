"""Pictures of classification: the image itself, its class in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._canvas import Picture, rgb


@dataclass(frozen=True)
class Pictures:
    """Nothing is drawn over an image."""

    hub: ClassVar[str] = "image-classification"
    classes: tuple[str, ...]

    def draw(self, image: Picture, answer: Arrays, spec: InputSpec) -> Picture:  # noqa: ARG002
        """Return the image [H, W, C] as RGB [H, W, 3]."""
        return rgb(image)

    def caption(self, answer: Arrays) -> str:
        """Return the class, with its confidence where there is one."""
        label = int(answer["label"][0])
        name = self.classes[label] if label >= 0 else "no answer"
        return f"{name} {answer['confidence'][0]:.0%}" if "confidence" in answer else name


def pictures(classes: tuple[str, ...], *, params: Config) -> Pictures:  # noqa: ARG001
    """Return the rules of pictures."""
    return Pictures(classes)
