from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.picture import UnusableError, open_picture
from tests.tiffs import number, page, tiff
from tests.unusual import RAMP, SIZE, bmp, grey_tiff


def encode(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def values(data: bytes) -> Any:
    return np.asarray(open_picture(data).image)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(("bits", "order"), [(8, "<"), (8, ">"), (12, "<"), (16, "<"), (16, ">")])
def test_grey_of_any_depth_runs_from_black_to_white(bits: int, order: str, deflate: bool) -> None:
    found = values(grey_tiff(bits, 1, order=order, deflate=deflate))
    assert np.abs(found - 255 * RAMP).max() < 1.1


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_is_turned_round_when_zero_is_white(bits: int, deflate: bool) -> None:
    assert np.abs(values(grey_tiff(bits, 0, deflate=deflate)) - 255 * (1 - RAMP)).max() < 1.1


@pytest.mark.parametrize("bits", [12, 16])
def test_grey_is_refused_by_its_format_when_no_reader_knows_the_layout(bits: int) -> None:
    order = ">" if bits == 16 else "<"  # big-endian white-is-zero; 12 bits of white-is-zero
    with pytest.raises(UnusableError, match="unreadable: begins as TIFF does"):
        values(grey_tiff(bits, 0, order=order))


def test_signed_grey_is_refused() -> None:
    data = tiff(page(bytes(range(24)), SIZE, number(339, 2)))
    with pytest.raises(UnusableError, match="mode: L has no one meaning"):
        values(data)


@pytest.mark.parametrize("scale", [1, 257])
def test_palette_of_a_tiff_keeps_its_colours_when_they_are_of_8_or_16_bits(scale: int) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (3, 256))
    colour_map = number(320, *(colours * scale).ravel().tolist())
    data = tiff(page(bytes(range(24)), SIZE, number(262, 3), colour_map))
    assert np.array_equal(values(data).reshape(24, 3), colours.T[:24])


@pytest.mark.parametrize("most", [100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_pgm_of_any_depth_runs_from_black_to_white(most: int, plain: bool) -> None:
    levels = np.round(RAMP * most).astype(int)
    text = " ".join(map(str, levels.ravel())).encode()
    raw = levels.astype(">u2" if most > 255 else "u1").tobytes()
    data = f"{'P2' if plain else 'P5'}\n8 3\n{most}\n".encode() + (text if plain else raw)
    assert np.abs(values(data) - 255 * RAMP).max() <= 255 / most / 2 + 1


def test_transparent_grey_of_16_bits_becomes_white() -> None:
    image = Image.fromarray(np.array([[0, 25700, 65535]], np.uint16))
    assert values(encode(image, transparency=25700)).tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("header", [56, 108, 124])
def test_alpha_of_a_bmp_is_unused_when_it_is_zero_everywhere(header: int) -> None:
    opaque = values(bmp(255, header=header))
    assert np.array_equal(values(bmp(0, header=header)), opaque)
    assert np.ptp(opaque[..., 2]) == 255


def test_alpha_of_a_bmp_counts_when_it_is_not_zero_everywhere() -> None:
    assert (values(bmp(51)) >= 204).all()


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_picture_is_refused_when_transparency_leaves_nothing_of_it(kind: str, mode: str) -> None:
    hidden = Image.fromarray((255 * RAMP).astype(np.uint8)).convert(mode)
    hidden.putalpha(0)
    data = encode(hidden, kind, **({"exact": True, "lossless": True} if kind == "webp" else {}))
    with pytest.raises(UnusableError, match="^blank: "):
        values(data)


def test_white_drawing_is_refused_when_only_its_alpha_shows_it() -> None:
    drawing = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    drawing.putalpha(Image.fromarray((255 * RAMP).astype(np.uint8)))
    with pytest.raises(UnusableError, match="^blank: "):
        values(encode(drawing))


def test_faint_grey_is_refused_when_8_bits_have_one_level_for_it() -> None:
    faint = Image.fromarray((RAMP * 100).astype(np.uint16))
    with pytest.raises(UnusableError, match="^blank: its grey values 0 to 100 of 65535"):
        values(encode(faint))


def test_picture_of_one_colour_stays_usable() -> None:
    assert (values(encode(Image.new("RGBA", SIZE, (9, 9, 9, 0)))) == 255).all()
    assert (values(encode(Image.new("I;16", SIZE, 999))) == 4).all()
