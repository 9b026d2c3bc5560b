from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgepress.data.metadata import orientation, pixels_alone
from edgepress.data.picture import UnusableError, open_picture
from tests.tiffs import ASCII, LONG, number, page, tiff

LYING = Image.new("RGB", (24, 16))
LYING.paste((255, 255, 255), (0, 0, 12, 16))  # white left half, which orientation 6 puts on top

NAME = 0x010F
RESOLUTION, UNIT = 0x011A, 0x0128


def exif(*entries: tuple[int, int, int, bytes], turn: int = 6, order: str = "<") -> bytes:
    """EXIF of raw entries (tag, type, count, four bytes) and Orientation, in order of tags."""
    mine = (0x0112, 3, 1, struct.pack(order + "H", turn) + b"\0\0")
    body = b"".join(struct.pack(order + "HHI", *e[:3]) + e[3] for e in sorted([*entries, mine]))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return b"Exif\0\0" + head + struct.pack(order + "H", len(entries) + 1) + body + b"\0" * 4


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    file = io.BytesIO()
    LYING.save(file, "jpeg", quality=95)
    data = file.getvalue()
    extra = (struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body for mark, body in segments)
    return data[:2] + b"".join(extra) + data[2:]


def chunk(kind: bytes, body: bytes, *, wrong: bool = False) -> bytes:
    checksum = zlib.crc32(kind + body) ^ wrong
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png(*before: bytes, after: bytes = b"") -> bytes:
    """A PNG with chunks before and after its pixels."""
    file = io.BytesIO()
    LYING.save(file, "png")
    data = file.getvalue()
    return data[:33] + b"".join(before) + data[33:-12] + after + data[-12:]


def is_turned(data: bytes) -> bool:
    found = np.asarray(open_picture(data).image)
    assert found.shape == (24, 16, 3)
    return bool(found[:10].mean() > 240 and found[14:].mean() < 15)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_either_byte_order(order: str) -> None:
    assert orientation(exif(turn=3, order=order)) == 3
    assert orientation(exif((NAME, 2, 9999, b"\xff" * 4), turn=8, order=order)) == 8


@pytest.mark.parametrize("data", [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\xff", exif()[:20]])
def test_orientation_is_none_when_there_is_none(data: bytes) -> None:
    assert orientation(data) is None


def test_orientation_is_none_when_it_is_no_turn() -> None:
    assert orientation(exif(turn=9)) is None


DAMAGED_TAGS = {
    "text as a number": (0x0103, 2, 4, b"abc\0"),
    "a ratio of nothing": (RESOLUTION, 5, 0, b"\0" * 4),
    "a ratio far away": (RESOLUTION, 5, 1, b"\xf0\xff\xff\x7f"),
    "an unknown type": (NAME, 99, 3, b"\1\2\3\4"),
    "a name without end": (NAME, 2, 2**31, b"\0" * 4),
    "a sub-directory nowhere": (0x8769, 4, 1, b"\xff\xff\xff\x7f"),
    "a sub-directory of text": (0x8825, 2, 4, b"gps\0"),
    "a float as a short": (UNIT, 11, 1, struct.pack("<f", float("nan"))),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("entry", DAMAGED_TAGS.values(), ids=DAMAGED_TAGS)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_picture_is_turned_when_another_exif_tag_is_damaged(
    entry: tuple[int, int, int, bytes], kind: str
) -> None:
    block = exif(entry)
    if kind == "jpeg":
        data = jpeg((0xE1, block))
    elif kind == "png":
        data = png(chunk(b"eXIf", block[6:]))
    else:
        file = io.BytesIO()
        LYING.save(file, "webp", lossless=True, exif=block)
        data = file.getvalue()
    assert is_turned(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(
    entries=st.lists(
        st.tuples(
            st.sampled_from([0x0100, 0x0103, NAME, RESOLUTION, UNIT, 0x8769, 0x8825, 0xA005]),
            st.integers(0, 14),
            st.sampled_from([0, 1, 2, 3, 5, 1000, 2**20, 2**32 - 1]),
            st.binary(min_size=4, max_size=4),
        ),
        max_size=4,
        unique_by=lambda entry: entry[0],
    ),
    order=st.sampled_from("<>"),
)
def test_picture_is_turned_whatever_stands_beside_its_orientation(
    entries: list[tuple[int, int, int, bytes]], order: str
) -> None:
    assert is_turned(jpeg((0xE1, exif(*entries, order=order))))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=60))
def test_exif_of_any_bytes_never_costs_the_picture(body: bytes) -> None:
    open_picture(jpeg((0xE1, b"Exif\0\0" + body)))
    open_picture(png(chunk(b"eXIf", body)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("mark", "body"),
    [
        (0xE0, b"JFIF"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"MPF\0II*\0"),
        (0xE2, b"MPF\0" + b"\xff" * 40),
        (0xED, b"Photoshop 3.0\x008BIM\x04"),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
        (0xEE, b"Adobe"),
        (0xFE, b""),
    ],
)
def test_damaged_segment_of_a_jpeg_is_passed_over(mark: int, body: bytes) -> None:
    assert is_turned(jpeg((0xE1, exif()), (mark, body)))


MANY = zlib.compress(b"x" * 3_000_000)


@pytest.mark.parametrize(
    "beside",
    [
        chunk(b"iCCP", b"scanner\0\0" + MANY),
        chunk(b"zTXt", b"Comment\0\0" + MANY),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + MANY),
        chunk(b"iCCP", b"scanner\0\7what"),
        chunk(b"pHYs", b"\0\0"),
        chunk(b"gAMA", b""),
        chunk(b"tEXt", b"Title\0a cat", wrong=True),
        chunk(b"tRNS", b"\0\0\0\0\0\0", wrong=True),
        chunk(b"eXIf", exif(turn=3)[6:], wrong=True),
    ],
)
def test_damaged_or_large_chunk_of_a_png_is_passed_over(beside: bytes) -> None:
    assert is_turned(png(chunk(b"eXIf", exif()[6:]), beside))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_large_chunk_behind_the_pixels_of_a_png_is_passed_over(kind: bytes) -> None:
    assert is_turned(png(chunk(b"eXIf", exif()[6:]), after=chunk(kind, b"Comment\0\0" + MANY)))


def test_orientation_in_xmp_is_kept_when_another_chunk_is_too_large() -> None:
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>'
    assert is_turned(png(chunk(b"iTXt", xmp), chunk(b"zTXt", b"Comment\0\0" + MANY)))


def test_transparent_colour_is_kept_when_another_chunk_is_damaged() -> None:
    black = chunk(b"tRNS", bytes(6))
    data = png(black, chunk(b"tEXt", b"Title\0a cat", wrong=True))
    with pytest.raises(UnusableError, match="blank"):  # black is transparent, the rest is white
        open_picture(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "beside",
    [
        (RESOLUTION, ASCII, b"72 dots\0"),
        (RESOLUTION, ASCII, b"\0"),
        (0x8769, LONG, b"\xff\xff\xff\x7f"),
        (0x8825, ASCII, b"gps\0"),
        (700, ASCII, b"no xmp\0"),
    ],
)
def test_damaged_tag_of_a_tiff_is_passed_over(beside: Any) -> None:
    pixels = LYING.tobytes()
    bits, meaning, samples = number(258, 8, 8, 8), number(262, 2), number(277, 3)
    tags = bits, meaning, samples, number(0x0112, 6), number(UNIT, 3)
    assert is_turned(tiff(page(pixels, (24, 16), *tags, beside)))


def test_damage_to_the_pixels_stays_damage() -> None:
    data = jpeg((0xED, b"Photoshop 3.0\x008BIM\x04"))
    with pytest.raises(UnusableError, match="^corrupt: "):
        open_picture(data[:-150])
    whole = png()
    with pytest.raises(UnusableError, match="^unreadable: begins as PNG does"):
        open_picture(whole.replace(b"IHDR", b"IHDX"))


def test_bytes_of_another_format_are_left_alone() -> None:
    assert pixels_alone(b"GIF89a") is None
    assert pixels_alone(b"") is None


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([jpeg(), png(), tiff(page(bytes(24), (8, 3)))]),
    edits=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    length=st.floats(0.0, 1.0),
)
def test_damaged_bytes_are_stripped_or_left_alone(
    kind: bytes, edits: list[tuple[int, int]], length: float
) -> None:
    data = bytearray(kind)
    for place, value in edits:
        data[place % len(data)] = value
    pixels_alone(bytes(data[: int(len(data) * length)]))  # any error fails the test
