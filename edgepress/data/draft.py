"""Draft: a JPEG decoded at a half, a quarter or an eighth of its size, since a resize follows.

A JPEG's blocks of 8 x 8 pixels can be decoded to 4 x 4, 2 x 2 or 1 x 1 by leaving out the finer
cosines (ITU T.81, A.3.3), which takes a fraction of the time. The rule, the same from training to
devices: a whole picture, in grey or YCbCr, at the smallest of these sizes that has twice the pixels
of its place in the input on both sides. Whatever else comes is decoded whole.
"""

from __future__ import annotations

from PIL import Image, JpegImagePlugin

from edgepress.data.picture import MAX_PIXELS, open_jpeg, orientation_of, upright
from edgepress.data.placement import placement
from edgepress.data.resizing import resized
from edgepress.records.inputs import InputSpec

ROOM = 2
"""Pixels left on a side for one of the input: then the resize decides, not the decoder."""
_LYING = 5
"""From this EXIF orientation on, a file's rows are the upright picture's columns."""


def drafted(data: bytes, spec: InputSpec) -> Image.Image | None:
    """Return a JPEG's picture upright and of its place's size; None where it is decoded whole."""
    if not (spec.draft and data.startswith(b"\xff\xd8")):
        return None
    try:
        with open_jpeg(data) as image:
            return _reduced(image, spec)
    except Exception:  # what is wrong with the file is said where it is decoded whole
        return None


def _reduced(image: Image.Image, spec: InputSpec) -> Image.Image | None:
    whole, lies = image.size, orientation_of(image) >= _LYING
    if image.mode not in ("L", "RGB") or whole[0] * whole[1] > MAX_PIXELS:
        return None
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    place = placement(whole[::-1] if lies else whole, spec)
    size = (place.height, place.width) if lies else (place.width, place.height)
    found = image.draft(None, (ROOM * size[0], ROOM * size[1]))
    if found is None or image.size == whole:
        return None
    image.load()
    # The last column and row may stand for less than a pixel of the draft: the box ends in them.
    return upright(resized(image, size, spec, found[1]), image)
