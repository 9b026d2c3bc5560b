"""The one preprocessing of training, calibration and validation: decode, resize, normalise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.draft import drafted
from edgepress.data.picture import MAX_PIXELS, UnusableError, open_picture
from edgepress.data.placement import LETTERBOX, placement
from edgepress.data.resizing import resized
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec


def decode(data: bytes, spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Return the image as uint8 [H, W, C] of the spec; bytes that are no image: `UnusableError`."""
    return next(decoded(data, spec, [None]))


def decoded(
    data: bytes, spec: InputSpec, windows: Sequence[Window | None]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield parts of the upright image as uint8 [H, W, C] of the spec; None is all of it."""
    if list(windows) == [None] and (small := drafted(data, spec)) is not None:
        yield _framed(small, spec)
        return
    image = open_picture(data).image
    for window in windows:
        yield fitted(image if window is None else window.of(image), spec)


def fitted(image: Image.Image, spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Return an upright picture of 8 bits, or a part of one, as uint8 [H, W, C] of the spec."""
    place = placement(image.size, spec)
    if place.width * place.height > MAX_PIXELS:  # a crop's other side has no bound of its own
        raise UnusableError(
            f"too long: {image.width} x {image.height} would be resized to {place.width} x "
            f"{place.height} before it is cropped; set fit: letterbox, or stretch"
        )
    return _framed(resized(image, (place.width, place.height), spec), spec)


def _framed(image: Image.Image, spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Return a picture of its place's size as it lies in the input, grey around it."""
    pixels = np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, spec.channels)
    if pixels.shape[:2] == (spec.height, spec.width):
        return pixels
    place = placement(image.size, spec)
    if place.width > spec.width or place.height > spec.height:
        top, left = -place.top, -place.left
        return pixels[top : top + spec.height, left : left + spec.width].copy()
    framed = np.full((spec.height, spec.width, spec.channels), LETTERBOX, np.uint8)
    framed[place.rows, place.columns] = pixels
    return framed


def normalise(pixels: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
    """Turn uint8 [N, H, W, C] into float32 [N, C, H, W]: (value / 255 - mean) / std per channel."""
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) != spec.channels:
            raise UserError(
                f"input.{name}: expected {spec.channels} value(s), one per channel, "
                f"got {list(values)}"
            )
    if min(spec.std) <= 0:
        raise UserError(f"input.std: expected values above 0, got {list(spec.std)}")
    count, height, width, channels = pixels.shape
    out = np.empty((count, channels, height, width), np.float32)
    for channel in range(channels):
        levels = (np.arange(256) / 255 - spec.mean[channel]) / spec.std[channel]
        np.take(levels.astype(np.float32), pixels[..., channel], out=out[:, channel])
    return out
