"""Files that cameras and scanners write and Pillow does not."""

from __future__ import annotations

import numpy as np

from tests.tiffs import number, packed_12, page, tiff

RAMP = np.linspace(0, 1, 24).reshape(3, 8)
"""From black, 0, to white, 1."""
SIZE = (8, 3)


def grey_tiff(bits: int, photometric: int, *, order: str = "<", deflate: bool = False) -> bytes:
    levels = np.round(RAMP * (2**bits - 1)).astype(np.uint16)
    pixels = packed_12(levels) if bits == 12 else levels.astype(f"{order}u{bits // 8}").tobytes()
    tags = number(258, bits, order=order), number(262, photometric, order=order)
    return tiff(page(pixels, SIZE, *tags, order=order, deflate=deflate), order=order)


def bmp(alpha: int, *, header: int = 124) -> bytes:
    """A 32-bit BMP with masks for four bands, of a picture [3, 8] with one value of alpha."""
    colours = np.stack([255 * RAMP, 255 - 255 * RAMP, 80 + 0 * RAMP, alpha + 0 * RAMP], axis=-1)
    pixels = colours.astype(np.uint8)[::-1].tobytes()  # blue first, from the bottom up
    masks = b"".join(mask.to_bytes(4, "little") for mask in (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    fields = np.array([header, 8, 3, 1 | 32 << 16, 3, len(pixels), 2835, 2835, 0, 0], "<u4")
    head = fields.tobytes() + masks
    head = head.ljust(header, b"\0")
    places = np.array([14 + len(head) + len(pixels), 0, 14 + len(head)], "<u4").tobytes()
    return b"BM" + places + head + pixels
