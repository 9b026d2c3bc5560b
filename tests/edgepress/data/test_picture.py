from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgepress.data.picture import UnusableError, load, open_picture
from tests.tiffs import Tag, number, page, tiff


def save(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


RGB = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
GREY_16 = np.array([[0, 257, 32896], [65535, 128, 129]], np.uint16)


def palette() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    return image


def test_rgb_and_grey_are_kept_as_they_are() -> None:
    assert np.array_equal(np.asarray(open_picture(save(RGB)).image), np.asarray(RGB))
    grey = RGB.convert("L")
    picture = open_picture(save(grey))
    assert picture.mode == picture.image.mode == "L"
    assert np.array_equal(np.asarray(picture.image), np.asarray(grey))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey_is_scaled_over_its_whole_range(kind: str) -> None:
    picture = open_picture(save(Image.fromarray(GREY_16), kind))
    assert picture.mode.startswith("I;16")
    assert np.asarray(picture.image).tolist() == [[0, 1, 128], [255, 0, 1]]


def test_1_bit_becomes_black_and_white_grey() -> None:
    picture = open_picture(save(Image.fromarray(np.array([[True, False]]))))
    assert picture.image.mode == "L"
    assert np.asarray(picture.image).tolist() == [[255, 0]]


def test_palette_becomes_its_colours() -> None:
    picture = open_picture(save(palette()))
    assert picture.mode == "P"
    assert np.asarray(picture.image).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparent_palette_entry_becomes_white() -> None:
    picture = open_picture(save(palette(), transparency=0))
    assert np.asarray(picture.image).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (100, 0, 0, 255), [100, 0, 0]),
        ("RGBA", (100, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (100, 0, 0, 51), [224, 204, 204]),
        ("LA", (40, 255), 40),
        ("LA", (40, 0), 255),
    ],
)
def test_alpha_is_laid_over_white(mode: str, pixel: tuple[int, ...], expected: Any) -> None:
    picture = open_picture(save(Image.new(mode, (1, 1), pixel)))
    assert picture.mode == mode
    assert np.asarray(picture.image)[0, 0].tolist() == expected


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture = open_picture(save(cmyk, "jpeg", quality=100))
    assert (picture.mode, picture.image.mode) == ("CMYK", "RGB")
    assert np.allclose(np.asarray(picture.image)[0, 0], [0, 255, 255], atol=3)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_exif_rotation_is_applied(mode: str, kind: str) -> None:
    image = Image.new("RGB", (20, 10))
    image.paste((255, 255, 255), (0, 0, 10, 10))  # white left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    picture = open_picture(save(image.convert(mode), kind, exif=exif))
    upright = np.asarray(picture.image.convert("L"))
    assert upright.shape == (20, 10)
    assert upright[:8].mean() > 240
    assert upright[12:].mean() < 15


def animation() -> bytes:
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
    return save(frames[0], "gif", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "not an image"),
        (save(RGB, "tga"), "not an image"),  # Pillow could, but it is not one of ours
        (save(RGB, "jpeg")[:-200], "corrupt"),
        (save(RGB.resize((64, 64)), "png")[:-40], "corrupt"),
        (save(RGB, "png")[:20], "corrupt"),
        (png_that_claims(8192, 8193), "too large"),
        (png_that_claims(2**30, 2**30), "too large"),
        (animation(), "animated"),
        (save(Image.fromarray(np.zeros((4, 4), np.float32)), "tiff"), "mode"),
        (save(Image.fromarray(np.zeros((4, 4), np.int32)), "tiff"), "mode"),
        (save(RGB.convert("LAB"), "tiff"), "mode"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unusable_bytes_are_refused_with_a_kind(data: bytes, kind: str) -> None:
    with pytest.raises(UnusableError) as error:
        open_picture(data)
    assert str(error.value).split(":")[0] == kind


WHOLE = page(bytes(range(24)), (8, 3))


def small(*tags: Tag) -> tuple[bytes, list[Tag]]:
    """A page that says what it is for."""
    return page(bytes(4), (2, 2), *tags)


@pytest.mark.parametrize("kind", [1, 4, 5])
@pytest.mark.parametrize("first", [True, False])
def test_page_beside_the_picture_of_a_tiff_is_no_frame(kind: int, first: bool) -> None:
    beside = small(number(254, kind))
    data = tiff(beside, WHOLE) if first else tiff(WHOLE, beside, beside)
    found = np.asarray(open_picture(data).image)
    assert found.ravel().tolist() == list(range(24))


def test_pages_of_a_tiff_are_refused_when_several_are_whole() -> None:
    for kind in (0, 2):  # 2 is a page of many
        with pytest.raises(UnusableError, match="animated: 2 frames"):
            open_picture(tiff(WHOLE, small(number(254, 1)), small(number(254, kind))))


def test_preview_is_refused_when_the_picture_lies_in_a_sub_directory() -> None:
    with pytest.raises(UnusableError, match="^preview: "):
        open_picture(tiff(small(number(254, 1), number(330, 8))))
    assert open_picture(tiff(small(number(254, 1)))).image.size == (2, 2)


@pytest.mark.parametrize(
    "data",
    [
        save(RGB, "bmp")[:20],
        b"GIF89a",
        b"RIFF\x04\0\0\0WEBP",
        b"\xff\xd8\xff\xe0",
        tiff(page(bytes(24), (8, 3), number(258, 14))),
        tiff(page(bytes(24), (8, 3), number(277, 9))),
    ],
)
def test_reason_names_the_format_when_a_file_begins_as_one_of_ours(data: bytes) -> None:
    with pytest.raises(UnusableError, match="^(unreadable: begins as|corrupt: )"):
        open_picture(data)


@pytest.mark.parametrize("text", [b"BMW and other cars, a list of them", b"P5", b"II am a king"])
def test_text_that_begins_like_a_format_is_no_image(text: bytes) -> None:
    with pytest.raises(UnusableError, match="^not an image"):
        open_picture(text)


def test_other_formats_are_not_loaded_when_some_are_asked_for() -> None:
    with pytest.raises(UnusableError):
        load(save(RGB, "jpeg"), ("PNG",))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm"]),
    edits=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8),
    length=st.floats(0.3, 1.0),
)
def test_damaged_bytes_give_a_picture_or_a_reason(
    kind: str, edits: list[tuple[int, int]], length: float
) -> None:
    data = bytearray(save(RGB, kind))
    for place, value in edits:
        data[place % len(data)] = value
    damaged = bytes(data[: int(len(data) * length)])
    with contextlib.suppress(UnusableError):  # any other error fails the test
        assert open_picture(damaged).image.mode in ("L", "RGB")
