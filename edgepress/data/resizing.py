"""Resizing: a picture, or a part of one, in the size and colours of a model's input."""

from __future__ import annotations

from PIL import Image

from edgepress.records.inputs import InputSpec

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, and parts of them."""


def resized(
    image: Image.Image, size: tuple[int, int], spec: InputSpec, box: Box | None = None
) -> Image.Image:
    """Return a picture of 8 bits, or a box of it, as width x height in the spec's colours."""
    mode = "L" if spec.channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size == size and box is None:
        return image
    return image.resize(size, _FILTERS[spec.resize], box)
