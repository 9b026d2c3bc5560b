"""From encoded bytes to one defined 8-bit picture, grey or RGB, or a reason why not.

Kept as they are: L and RGB. Converted: 1-bit to grey; 16-bit grey over its whole range (65535
becomes 255); 16-bit RGB by its high byte; palettes by their colours; alpha over white; CMYK and
YCbCr by Pillow's plain formula, without colour profiles; EXIF rotation applied. Refused:
animations, more than `MAX_PIXELS`, and every other mode (32-bit, float, LAB): no one meaning in
8 bits.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edgepress.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that are opened; the rest of Pillow's readers are never given foreign bytes."""
MAX_PIXELS = 2**26
"""Width x height above which an image is refused before it is decoded (8192 x 8192)."""

_WHITE = 255
_ALPHA = {"LA": "L", "PA": "RGB", "RGBA": "RGB", "La": "L", "RGBa": "RGB"}
_PLAIN = {
    "1": "L",
    "L": "L",
    "RGB": "RGB",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "P": "RGB",
}


class UnusableError(UserError):
    """Raised for bytes that are no usable image; its text is `kind` or `kind: detail`."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture in mode L or RGB, upright, and the mode it had in the file."""

    image: Image.Image
    mode: str


def open_picture(data: bytes) -> Picture:
    """Decode and convert as the module says; bytes that cannot be used are `UnusableError`."""
    if not data:
        raise UnusableError("empty: zero bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_before_decoding(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return Picture(_to_8_bit(image), image.mode)
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableError("not an image: none of " + ", ".join(FORMATS)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableError(f"too large: more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        raise UnusableError(f"corrupt: {error or type(error).__name__}") from None


def _refuse_before_decoding(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableError(f"too large: {width} x {height} is more than {MAX_PIXELS} pixels")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras append a preview to the one real picture
        raise UnusableError(f"animated: {frames} frames")


def _to_8_bit(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode.startswith("I;16"):
        return Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if mode in _ALPHA or "transparency" in image.info:
        target = _ALPHA.get(mode, "L" if mode in ("1", "L") else "RGB")
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (_WHITE,) * 4)
        return Image.alpha_composite(white, with_alpha).convert(target)
    if mode not in _PLAIN:
        raise UnusableError(f"mode: {mode} has no one meaning in 8 bits")
    return image if mode == _PLAIN[mode] else image.convert(_PLAIN[mode])
