"""Metadata: which way up a picture is, and a file without what lies beside its pixels.

A decoder that stumbles over a comment, a profile or a tag says nothing about the pixels.
JPEG: ITU T.81; PNG: https://www.w3.org/TR/png-3/; TIFF 6.0; EXIF: CIPA DC-008.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

ORIENTATION = 0x0112

_JPEG, _PNG, _TIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")
_PNG_KEPT = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""Ancillary chunks that change the pixels, or tell an animation."""
_XMP = b"XML:com.adobe.xmp\0\0"
_TIFF_KEPT = frozenset(
    [
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, ORIENTATION, 277, 278, 279, 284, 292, 293),
        *(317, 320, 322, 323, 324, 325, 330, 332, 338, 339, 347, 512, 513, 514, 515, 517, 518),
        *(519, 520, 521, 529, 530, 531, 532),
    ]
)
"""Tags that say how the pixels are laid out and what they mean."""
_SIZES = {1: "B", 3: "H", 4: "I"}


def orientation(exif: bytes) -> int | None:
    """Return the Orientation of an EXIF block, None where it has none that can be read."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = ">" if tiff[:2] == b"MM" else "<"
    try:
        for entry in _entries(tiff, order)[0]:
            tag, kind, count = struct.unpack_from(f"{order}HHI", entry)
            if tag == ORIENTATION and kind in _SIZES and count == 1:
                value = int(struct.unpack_from(order + _SIZES[kind], entry, 8)[0])
                return value if value in range(1, 9) else None
    except struct.error:
        pass
    return None


def pixels_alone(data: bytes) -> bytes | None:
    """Return a JPEG, PNG or TIFF without its metadata, Orientation kept; None for other bytes."""
    try:
        if data.startswith(_JPEG):
            return b"".join(_jpeg(data))
        if data.startswith(_PNG):
            return b"".join(_png(data))
        if data.startswith(_TIFF):
            return _tiff(data)
    except struct.error:  # it ends within its own structure
        pass
    return None


def _jpeg(data: bytes) -> Iterator[bytes]:
    yield _JPEG
    place, turn = 2, None
    kept = []
    while data[place : place + 1] == b"\xff":
        marker, length = struct.unpack_from(">BH", data, place + 1)
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == 0xDA:  # the scan: pixels from here on
            break
        segment = data[place : place + 2 + length]
        body = segment[4:]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            turn = turn or orientation(body)
        elif not 0xE0 <= marker <= 0xEF and marker != 0xFE or _tells_colours(body):
            kept.append(segment)
        place += 2 + length
    exif = b"Exif\0\0" + _exif(turn or 1)
    yield b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    yield from kept
    yield data[place:]


def _tells_colours(body: bytes) -> bool:
    """Tell a sound JFIF or Adobe segment: decoders take the colour space from them."""
    return body.startswith(b"JFIF\0") and len(body) >= 14 or body[:5] == b"Adobe" and len(body) > 11


def _png(data: bytes) -> Iterator[bytes]:
    yield data[:33]  # signature and IHDR
    place, kept, turn = 33, [], None
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunk = data[place : place + 12 + length]
        sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
        if not kind[0] & 0x20:  # a critical chunk, damaged or not
            kept.append(chunk)
        elif sound and kind == b"eXIf":
            turn = orientation(chunk[8:-4])
        elif sound and (kind in _PNG_KEPT or kind == b"iTXt" and chunk[8:].startswith(_XMP)):
            kept.append(chunk)
        place += len(chunk)
    if turn is not None:
        exif = b"eXIf" + _exif(turn)
        yield struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif))
    yield from kept
    yield data[place:]


def _tiff(data: bytes) -> bytes:
    order = ">" if data[:2] == b"MM" else "<"
    entries, following = _entries(data, order)
    kept = [entry for entry in entries if struct.unpack(order + "H", entry[:2])[0] in _TIFF_KEPT]
    body = data[8:] + b"\0" * (len(data) % 2)
    start = struct.pack(order + "I", 8 + len(body))
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + following
    return data[:4] + start + body + directory


def _entries(tiff: bytes, order: str) -> tuple[list[bytes], bytes]:
    """Return the 12-byte entries of the first directory, and the offset of the next as stored."""
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    places = range(start + 2, start + 2 + 12 * count, 12)
    entries = [tiff[place : place + 12] for place in places]
    end = start + 2 + 12 * count
    return entries, tiff[end : end + 4].ljust(4, b"\0")


def _exif(turn: int) -> bytes:
    """Return an EXIF block that holds Orientation alone."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, 3, 1, turn, 0, 0)
