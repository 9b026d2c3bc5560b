"""Thumbnails tell copies apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.encoders.thumbnail import vectors
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=96, width=96, channels=3, mean=(0.485, 0.456, 0.406), std=(0.2, 0.2, 0.2))


def _vector(picture: Image.Image) -> np.ndarray:
    small = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR), np.float32)
    found = vectors(small.transpose(2, 0, 1)[None] / 255)[0]
    return found / np.linalg.norm(found)


def _photograph(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((240, 200), Image.Resampling.BICUBIC)


def test_cosine_is_near_one_when_a_picture_is_saved_smaller_darker_or_by_jpeg(
    tmp_path: Path,
) -> None:
    own = _photograph(0)
    own.save(tmp_path / "low.jpg", quality=40)
    copies = [
        Image.open(tmp_path / "low.jpg"),
        own.resize((120, 100), Image.Resampling.LANCZOS),
        own.point(lambda value: round(0.8 * value + 40)),
    ]
    assert min(float(_vector(own) @ _vector(copy.convert("RGB"))) for copy in copies) > 0.999


def test_cosine_is_lower_when_a_picture_is_mirrored_cut_blurred_or_another() -> None:
    own = _photograph(0)
    others = [
        own.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        own.crop((30, 20, 240, 200)),
        own.filter(ImageFilter.GaussianBlur(20)),
        _photograph(1),
    ]
    assert max(float(_vector(own) @ _vector(other)) for other in others) < 0.99


def test_a_picture_of_one_colour_has_a_vector_when_nothing_is_left_of_it() -> None:
    flat = vectors(np.full((1, 3, 4, 4), 0.3, np.float32))
    np.testing.assert_array_equal(flat, 1.0)


@pytest.mark.parametrize("side", [8, 16])
def test_every_image_gets_a_vector_of_its_side_when_a_manifest_is_embedded(
    manifest: Path, side: int
) -> None:
    images = ImageSet.open(manifest, "train")
    spec = SPEC.model_copy(update={"channels": 1, "mean": (0.3,), "std": (0.35,)})
    encoder = resolve("encoders", {"method": "thumbnail", "side": side}, "test", "embed")(
        Request(images, spec, 0)
    )
    found = np.concatenate(list(encoder.embed(images)))
    assert found.shape == (len(images), side * side)
    assert np.isfinite(found).all()
