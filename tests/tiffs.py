"""TIFF files tag by tag: what the libraries at hand do not write, cameras and scanners do."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

Tag = tuple[int, int, bytes]
"""Number, type and value of a tag; the count is that of the value's bytes in units of the type."""

SHORT, LONG, ASCII = 3, 4, 2
_UNITS = {1: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, 7: 1, 12: 8}


def number(tag: int, *values: int, order: str = "<", kind: int = SHORT) -> Tag:
    return tag, kind, struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)


def packed_12(values: npt.NDArray[np.uint16]) -> bytes:
    """Pack rows of an even number of 12-bit values, most significant bit first."""
    first, second = values[:, ::2], values[:, 1::2]
    three = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    return three.astype(np.uint8).tobytes()


def page(
    pixels: bytes, size: tuple[int, int], *tags: Tag, order: str = "<", deflate: bool = False
) -> tuple[bytes, list[Tag]]:
    """Return the strip and the tags of a page; `tags` come over the grey 8-bit ones."""
    width, height = size
    strip = zlib.compress(pixels) if deflate else pixels
    known = {256: width, 257: height, 258: 8, 259: 8 if deflate else 1, 262: 1, 277: 1, 278: height}
    mine = {tag: number(tag, value, order=order) for tag, value in known.items()}
    mine[279] = number(279, len(strip), order=order, kind=LONG)
    return strip, list((mine | {tag[0]: tag for tag in tags}).values())


def tiff(*pages: tuple[bytes, list[Tag]], order: str = "<") -> bytes:
    """Return a file of pages."""
    out = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0")
    link = 4
    for strip, tags in pages:
        offset = _append(out, strip)
        entries = b""
        for tag, kind, value in sorted([*tags, number(273, offset, order=order, kind=LONG)]):
            if len(value) > 4:
                value_or_place = struct.pack(f"{order}I", _append(out, value))
            else:
                value_or_place = value.ljust(4, b"\0")
            entries += struct.pack(f"{order}HHI", tag, kind, len(value) // _UNITS[kind])
            entries += value_or_place
        place = _append(out, struct.pack(f"{order}H", len(entries) // 12) + entries + b"\0" * 4)
        struct.pack_into(f"{order}I", out, link, place)
        link = place + 2 + len(entries)
    return bytes(out)


def _append(out: bytearray, data: bytes) -> int:
    out.extend(b"\0" * (len(out) % 2))
    place = len(out)
    out.extend(data)
    return place
