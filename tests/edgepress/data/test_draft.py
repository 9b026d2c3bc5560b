"""JPEGs decoded in part: nearly the same pixels, in the same places, or exactly as before."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.draft import drafted
from edgepress.data.picture import UnusableError
from edgepress.data.preprocess import decode, decoded
from edgepress.data.window import Window
from edgepress.records.inputs import InputSpec

WHOLE = InputSpec(height=48, width=64, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
DRAFT = WHOLE.model_copy(update={"draft": True})


def photograph(width: int, height: int) -> Image.Image:
    """Return a picture of soft shapes and hard edges, another in each corner."""
    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height))
    pixels = np.array(soft)
    pixels[: height // 3, : width // 5] = (250, 20, 20)
    pixels[-height // 4 :, -width // 3 :] = (10, 240, 30)
    return Image.fromarray(pixels)


def jpeg(image: Image.Image, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, **settings)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(photograph(1003, 757), exif=exif)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_those_of_the_whole_picture_within_a_few_levels_however_it_lies(
    orientation: int, fit: str
) -> None:
    data, other = turned(orientation), {"fit": fit}
    spec = DRAFT.model_copy(update=other)
    assert drafted(data, spec) is not None
    ours = decode(data, spec).astype(int)
    apart = np.abs(ours - decode(data, WHOLE.model_copy(update=other)))
    assert apart.mean() < 0.5
    assert apart.max() <= 12  # half a pixel off, the edges would be 100 apart


@pytest.mark.parametrize(
    ("size", "reduced"),
    [((1024, 768), 8), ((512, 384), 4), ((511, 384), 2), ((256, 192), 2), ((255, 192), 1)],
)
def test_reduction_leaves_twice_the_inputs_pixels_when_it_is_chosen(
    size: tuple[int, int], reduced: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def spied(image: Image.Image, *given: Any) -> Image.Image:
        seen.append(image.size)
        return resize(image, *given)

    data = jpeg(photograph(*size))
    monkeypatch.setattr(Image.Image, "resize", spied)
    decode(data, DRAFT)
    assert seen == [(-(-size[0] // reduced), -(-size[1] // reduced))]


def test_grey_is_made_of_a_colour_jpeg_when_the_input_has_one_channel() -> None:
    grey = {"channels": 1, "mean": (0.5,), "std": (0.25,)}
    data = turned(6)
    ours = decode(data, DRAFT.model_copy(update=grey)).astype(int)
    assert ours.shape == (48, 64, 1)
    assert np.abs(ours - decode(data, WHOLE.model_copy(update=grey))).max() <= 12


def test_several_pictures_of_a_camera_give_the_first() -> None:
    file = io.BytesIO()
    photograph(1000, 750).save(
        file, "MPO", save_all=True, append_images=[photograph(40, 30)], quality=95
    )
    assert drafted(file.getvalue(), DRAFT) is not None
    apart = decode(file.getvalue(), DRAFT).astype(int) - decode(file.getvalue(), WHOLE)
    assert np.abs(apart).max() <= 12


def test_whole_pictures_are_decoded_when_no_draft_may_be_taken() -> None:
    large = photograph(1000, 750)
    png = io.BytesIO()
    large.save(png, "PNG")
    plain = {
        "png": png.getvalue(),
        "small": jpeg(photograph(200, 190)),
        "cmyk": jpeg(large.convert("CMYK")),
    }
    for name, data in plain.items():
        assert np.array_equal(decode(data, DRAFT), decode(data, WHOLE)), name
    data, window = jpeg(large), Window(10, 20, 900, 700)
    for ours, theirs in zip(
        decoded(data, DRAFT, [None, window]), decoded(data, WHOLE, [None, window]), strict=True
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("cut", [2, 300, 20_000])
def test_damage_is_told_as_ever_when_a_draft_was_asked_for(cut: int) -> None:
    data = turned(1)[:-cut] if cut > 2 else b"\xff\xd8"
    with pytest.raises(UnusableError) as whole:
        decode(data, WHOLE)
    with pytest.raises(UnusableError) as draft:
        decode(data, DRAFT)
    assert str(draft.value) == str(whole.value)


def test_draft_is_refused_when_pixels_are_picked_and_not_averaged() -> None:
    with pytest.raises(ValueError, match="nearest does not: set draft: false"):
        InputSpec.model_validate({**DRAFT.model_dump(), "resize": "nearest"})
