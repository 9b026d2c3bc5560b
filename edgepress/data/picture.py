"""From encoded bytes to one defined 8-bit picture, grey or RGB, or a reason why not.

Kept as they are: L and RGB. Converted: 1-bit to grey; grey of 12 and 16 bits over its whole range
(65535 becomes 255), white as the file's tags say; 16-bit RGB by its high byte; palettes by their
colours; alpha over white, but for a BMP whose alpha is zero everywhere, which says nothing; CMYK
and YCbCr by Pillow's plain formula, without colour profiles; EXIF rotation applied. Damage to what
lies beside the pixels is passed over. Refused: animations, more than `MAX_PIXELS`, every other
mode (32-bit, float, signed, LAB), which has no one meaning in 8 bits, and a picture of which the
conversion would leave one flat colour.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from edgepress.data.eight_bits import LostError, tiff_tags, to_8_bits
from edgepress.data.metadata import ORIENTATION, orientation, pixels_alone
from edgepress.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that are opened; the rest of Pillow's readers are never given foreign bytes."""
MAX_PIXELS = 2**26
"""Width x height above which an image is refused before it is decoded (8192 x 8192)."""

_BEGINNINGS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]|II\0\*|MM\*\0",
    "PPM": rb"P[1-6]\s",
}
_SUBFILE_TYPE, _SUB_DIRECTORIES = 254, 330
_NO_PAGE = 0b101
"""Bits of a TIFF page that is a smaller copy of another, or its mask."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableError(UserError):
    """Raised for bytes that are no usable image; its text is `kind` or `kind: detail`."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture in mode L or RGB, upright, and what it was in its file."""

    image: Image.Image
    mode: str
    orientation: int
    """EXIF's, 1 to 8."""
    format: str
    """One of `FORMATS`."""


def open_picture(data: bytes) -> Picture:
    """Decode and convert as the module says; bytes that cannot be used are `UnusableError`."""
    image = load(data)
    try:
        converted = to_8_bits(image)
    except LostError as reason:
        raise UnusableError(str(reason)) from None
    except (ValueError, OSError, MemoryError):
        raise UnusableError(f"corrupt: its {image.mode} pixels cannot be converted") from None
    turned = upright(converted, image)
    return Picture(turned, image.mode, orientation_of(image), str(image.format))


def load(data: bytes, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Decode the one picture of a file in the mode and the position that it has there."""
    if not data:
        raise UnusableError("empty: zero bytes")
    try:
        return _decoded(data, formats)
    except UnusableError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged bytes
        damage = error
    bare = pixels_alone(data)
    if bare is not None:
        try:
            return _decoded(bare, formats)
        except UnusableError:
            raise
        except Exception as error:  # the damage is to the pixels
            damage = error
    raise _reason(data, damage) from None


def open_jpeg(data: bytes) -> Image.Image:
    """Read a JPEG's headers, its pixels not yet; Pillow raises nearly anything on damaged bytes."""
    return Image.open(io.BytesIO(data), formats=("JPEG",))


def upright(image: Image.Image, original: Image.Image) -> Image.Image:
    """Turn `image`, decoded or converted, as the metadata of the `original` say."""
    turn = _TURNS.get(orientation_of(original))
    return image if turn is None else image.transpose(turn)


def orientation_of(image: Image.Image) -> int:
    """Return EXIF's number for how a decoded file's rows lie, 1 where it says none."""
    exif = image.info.get("exif")
    found = orientation(exif) if isinstance(exif, bytes) else None
    if found is not None:
        return found
    try:
        value = image.getexif().get(ORIENTATION)  # XMP and PNG's older place are Pillow's to read
    except Exception:  # Pillow raises nearly anything on damaged metadata
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _decoded(data: bytes, formats: tuple[str, ...]) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _refuse_before_decoding(image)
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableError(f"too large: more than {MAX_PIXELS} pixels") from None


def _reason(data: bytes, damage: Exception) -> UnusableError:
    formats = [name for name, begins in _BEGINNINGS.items() if re.match(begins, data, re.DOTALL)]
    if not formats:
        return UnusableError("not an image: none of " + ", ".join(FORMATS))
    if isinstance(damage, UnidentifiedImageError):
        return UnusableError(
            f"unreadable: begins as {formats[0]} does, but is damaged or of a kind not read"
        )
    # What else a reader trips over are its own internals.
    said = str(damage) if isinstance(damage, OSError) and damage.errno is None else ""
    return UnusableError(f"corrupt: {said or 'its data cannot be decoded'}")


def _refuse_before_decoding(image: Image.Image) -> None:
    """Stand on the one picture of the file; refuse several, and one that is too large."""
    frames = getattr(image, "n_frames", 1)
    if image.format == "TIFF":
        pages = [frame for frame in range(frames) if _is_page(image, frame)]
        frames = len(pages)
        image.seek(pages[0] if pages else 0)
        if not pages and _SUB_DIRECTORIES in tiff_tags(image):
            raise UnusableError("preview: the picture lies in a sub-directory that is not read")
    if frames > 1 and image.format != "MPO":  # cameras append a preview to the one real picture
        raise UnusableError(f"animated: {frames} frames")
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableError(f"too large: {width} x {height} is more than {MAX_PIXELS} pixels")


def _is_page(image: Image.Image, frame: int) -> bool:
    image.seek(frame)
    kind = tiff_tags(image).get(_SUBFILE_TYPE, 0)
    return not (isinstance(kind, int) and kind & _NO_PAGE)
