from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgepress.data.picture import UnusableError
from edgepress.data.placement import covered, placement
from edgepress.data.preprocess import decode, normalise
from edgepress.errors import UserError
from edgepress.records.inputs import Crop, InputSpec

GREY = InputSpec(height=4, width=6, channels=1, mean=(0.3,), std=(0.35,))
COLOUR = InputSpec(height=4, width=6, channels=3, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8))


def test_decode_gives_height_width_channels() -> None:
    assert decode(png(picture()), GREY).shape == (4, 6, 1)
    assert decode(png(picture()), COLOUR).shape == (4, 6, 3)


def test_decode_repeats_grey_when_three_channels_are_wanted() -> None:
    grey = picture().convert("L").resize((6, 4))
    pixels = decode(png(grey), COLOUR)
    for channel in range(3):
        assert np.array_equal(pixels[..., channel], np.asarray(grey))


def test_decode_keeps_pixels_when_the_size_is_right() -> None:
    image = picture().resize((6, 4))
    assert np.array_equal(decode(png(image), COLOUR), np.asarray(image))


@pytest.mark.parametrize(
    ("name", "resampling"),
    [
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("nearest", Image.Resampling.NEAREST),
    ],
)
def test_decode_resizes_by_the_named_filter(name: str, resampling: Image.Resampling) -> None:
    spec = COLOUR.model_copy(update={"resize": name})
    expected = np.asarray(picture().resize((6, 4), resampling))
    assert np.array_equal(decode(png(picture()), spec), expected)


@given(
    st.integers(0, 255),
    st.floats(0, 1),
    st.floats(0.01, 1),
    st.integers(1, 3),
)
def test_normalise_is_the_formula_for_every_value(
    value: int, mean: float, std: float, count: int
) -> None:
    spec = InputSpec(height=1, width=2, channels=1, mean=(mean,), std=(std,))
    out = normalise(np.full((count, 1, 2, 1), value, np.uint8), spec)
    assert out.shape == (count, 1, 1, 2)
    assert out.dtype == np.float32
    assert np.allclose(out, (value / 255 - mean) / std, rtol=1e-6, atol=1e-6)


def test_normalise_moves_channels_first_each_with_its_own_scale() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    expected = (pixels / 255 - np.array(COLOUR.mean)) / np.array(COLOUR.std)
    out = normalise(pixels, COLOUR)
    assert out.flags.c_contiguous
    assert np.allclose(out, expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize(
    "change", [{"mean": (0.5,)}, {"std": (0.5, 0.5)}, {"std": (0.5, 0.0, 0.5)}]
)
def test_normalise_refuses_a_spec_that_does_not_fit(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"input.{next(iter(change))}"):
        normalise(np.zeros((1, 4, 6, 3), np.uint8), COLOUR.model_copy(update=change))


@given(
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    into=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_letterbox_keeps_proportions_and_touches_two_sides(
    width: int, height: int, into: tuple[int, int]
) -> None:
    spec = GREY.model_copy(update={"fit": "letterbox", "width": into[0], "height": into[1]})
    place = placement((width, height), spec)
    assert place.width == into[0] or place.height == into[1]
    assert 0 <= into[0] - place.width - 2 * place.left <= 1
    assert 0 <= into[1] - place.height - 2 * place.top <= 1
    ratio = min(into[0] / width, into[1] / height)
    assert abs(place.width - width * ratio) <= 1
    assert abs(place.height - height * ratio) <= 1


def test_letterbox_fills_with_one_grey_and_centres() -> None:
    image = Image.new("RGB", (12, 4), (200, 10, 30))
    spec = COLOUR.model_copy(update={"fit": "letterbox"})
    pixels = decode(png(image), spec)
    assert pixels.shape == (4, 6, 3)
    assert (pixels[[0, 3]] == 114).all()
    assert (pixels[1:3] == (200, 10, 30)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([1.0, 0.96, 0.875, 0.5]),
    st.sampled_from(["bilinear", "bicubic"]),
)
def test_crop_gives_torchvisions_pixels(width: int, height: int, share: float, name: str) -> None:
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    spec = COLOUR.model_copy(
        update={"height": 24, "width": 24, "fit": Crop(crop=share), "resize": name}
    )
    rng = np.random.default_rng(width * 100 + height)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    large = Resize(math.floor(24 / share), InterpolationMode(name))(image)
    assert np.array_equal(decode(png(image), spec), np.asarray(CenterCrop(24)(large)))


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([1.0, 0.9, 0.7]))
def test_crop_lies_in_the_picture_and_keeps_its_proportions(
    width: int, height: int, share: float
) -> None:
    spec = COLOUR.model_copy(update={"height": 30, "width": 50, "fit": Crop(crop=share)})
    place = placement((width, height), spec)
    wide, high = covered(spec)
    assert place.width >= wide
    assert place.height >= high
    assert (place.width, place.height) == (wide, place.height) or place.height == high
    assert -place.left + 50 <= place.width
    assert -place.top + 30 <= place.height
    assert abs(place.width * height - place.height * width) <= max(width, height)
    again = placement((place.width, place.height), spec)
    assert replace(again, scale=place.scale) == place


def test_crop_is_refused_when_the_picture_is_a_line() -> None:
    spec = COLOUR.model_copy(update={"height": 224, "width": 224, "fit": Crop(crop=0.875)})
    line = png(Image.new("RGB", (9000, 3)))
    with pytest.raises(UnusableError, match=r"too long: 9000 x 3 .* to 768000 x 256 before it is"):
        decode(line, spec)
    assert decode(line, spec.model_copy(update={"fit": "letterbox"})).shape == (224, 224, 3)
