"""Eight bits: what the numbers of a decoded file mean, as one grey or RGB picture of 8 bits.

Pillow's mode is not the meaning: the tags of a TIFF (TIFF 6.0) say how many bits there are, which
end is white, and whether they are signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_BITS, _PHOTOMETRIC, _COLOUR_MAP, _SAMPLE_FORMAT = 258, 262, 320, 339
_WHITE_IS_ZERO, _SIGNED = 0, (2,)

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


class LostError(Exception):
    """Raised where 8 bits cannot say what the file says; its text is `kind: detail`."""


def to_8_bits(image: Image.Image) -> Image.Image:
    """Return a decoded file as mode L or RGB; where that has no one meaning, `LostError`."""
    mode, tags = image.mode, tiff_tags(image)
    if mode.startswith("I;16") or mode == "I" and image.format == "PPM":
        return _from_16_bits(image, tags)
    if mode not in _ALPHA and mode not in _PLAIN or tags.get(_SAMPLE_FORMAT) == _SIGNED:
        raise LostError(f"mode: {mode} has no one meaning in 8 bits")
    if mode == "P" and _COLOUR_MAP in tags:
        _keep_8_bit_colours(image, tags[_COLOUR_MAP])
    if mode in _ALPHA or "transparency" in image.info:
        return _over_white(image)
    return image if mode == _PLAIN[mode] else image.convert(_PLAIN[mode])


def tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF's page, each read when asked for; other formats have none."""
    return getattr(image, "tag_v2", None) or {}


def _from_16_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    values: npt.NDArray[Any] = np.asarray(image)  # Pillow spreads a PGM of any depth over 16 bits
    most = 2 ** tags.get(_BITS, (16,))[0] - 1
    grey = np.round(values / (most / _WHITE)).astype(np.uint8)
    if tags and tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        grey = _WHITE - grey
    low, high = int(values.min()), int(values.max())
    if low < high and grey.min() == grey.max():
        raise LostError(f"blank: its grey values {low} to {high} of {most} are one level in 8 bits")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = _WHITE
    return Image.fromarray(grey)


def _keep_8_bit_colours(image: Image.Image, colours: tuple[int, ...]) -> None:
    """Undo Pillow's division by 256 where the colours are of 8 bits already, as some writers do."""
    if max(colours) <= _WHITE:
        image.putpalette(bytes(np.reshape(colours, (3, -1)).T.astype(np.uint8)))


def _over_white(image: Image.Image) -> Image.Image:
    target = _ALPHA.get(image.mode, "L" if image.mode in ("1", "L") else "RGB")
    with_alpha = image.convert("RGBA")
    if image.format == "BMP" and with_alpha.getchannel("A").getextrema() == (0, 0):
        return with_alpha.convert(target)  # the fourth byte is unused there
    white = Image.new("RGBA", image.size, (_WHITE,) * 4)
    flat = Image.alpha_composite(white, with_alpha).convert(target)
    if _varies(with_alpha) and not _varies(flat):
        raise LostError("blank: transparent, and laid over white one flat colour is left of it")
    return flat


def _varies(image: Image.Image) -> bool:
    return bool(np.any(np.diff(np.reshape(image.getextrema(), (-1, 2)))))
