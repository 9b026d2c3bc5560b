"""Pictures of segmentation: classes as colours over the image, with their outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._canvas import UNJUDGED, Picture, colour, rgb
from edgepress.tasks.segmentation.labels import IGNORED, Params

_SHARE = 0.45
"""Of the colour in a pixel; the rest is the image."""


@dataclass(frozen=True)
class Pictures:
    """The first class is left uncoloured: it is the background, or the most common thing."""

    hub: ClassVar[str] = "image-segmentation"
    classes: tuple[str, ...]

    def draw(self, image: Picture, answer: Arrays, spec: InputSpec) -> Picture:  # noqa: ARG002
        """Return the image [H, W, C] with the classes of one item over it, RGB [H, W, 3]."""
        height, width = image.shape[:2]
        mask = Image.fromarray(answer["mask"][0]).resize((width, height), Image.Resampling.NEAREST)
        classes = np.asarray(mask)
        plain = rgb(image).astype(np.float32)
        coloured = _palette(len(self.classes))[classes]
        over = ((classes != 0) & (classes != IGNORED))[..., None]
        mixed = np.where(over, (1 - _SHARE) * plain + _SHARE * coloured, plain)
        mixed[_edges(classes) & over[..., 0]] = coloured[_edges(classes) & over[..., 0]]
        return np.ascontiguousarray(mixed.round().astype(np.uint8))

    def caption(self, answer: Arrays) -> str:
        """Return the share of every class but the first, largest first."""
        mask = answer["mask"][0]
        judged = mask[mask != IGNORED]
        counts = np.bincount(judged, minlength=256)[1 : len(self.classes)]
        order = [index for index in np.argsort(-counts) if counts[index] > 0][:3]
        parts = [
            f"{self.classes[index + 1]} {counts[index] / max(len(judged), 1):.1%}"
            for index in order
        ]
        return ", ".join(parts) or self.classes[0]


def pictures(classes: tuple[str, ...], *, params: Params) -> Pictures:  # noqa: ARG001
    """Return the rules of pictures."""
    return Pictures(classes)


def _palette(count: int) -> npt.NDArray[np.float32]:
    """Return a colour for each of 256 values: hues far apart, grey for what is no class."""
    colours = np.full((256, 3), UNJUDGED, np.float32)
    colours[:count] = [colour(index) for index in range(count)]
    return colours


def _edges(classes: Picture) -> npt.NDArray[np.bool_]:
    """Return where a pixel's class is not that of the one below or to the right."""
    found = np.zeros(classes.shape, bool)
    found[:-1] |= classes[:-1] != classes[1:]
    found[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    return found
