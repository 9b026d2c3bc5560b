from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from edgepress.data.phash import phash, thumbnail


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((90, 70), Image.Resampling.BICUBIC)


def hashes(*images: Image.Image) -> np.ndarray:
    return phash(np.stack([thumbnail(image) for image in images]))


def distance(left: Image.Image, right: Image.Image) -> int:
    one, two = hashes(left, right)
    return int(np.bitwise_count(one ^ two))


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "jpeg", quality=40)
    return Image.open(file)


@pytest.mark.parametrize("seed", range(5))
def test_hash_hardly_changes_when_a_picture_is_recompressed_resized_or_brightened(
    seed: int,
) -> None:
    image = picture(seed)
    assert distance(image, recompressed(image)) <= 4
    assert distance(image, image.resize((200, 150))) <= 4
    assert distance(image, ImageEnhance.Brightness(image).enhance(0.8)) <= 6


def test_hash_differs_between_pictures() -> None:
    found = hashes(*(picture(seed) for seed in range(20)))
    apart = np.bitwise_count(found[:, None] ^ found[None, :])[~np.eye(20, dtype=bool)]
    assert apart.min() >= 10
    assert 24 < apart.mean() < 40


def test_hash_does_not_depend_on_its_neighbours() -> None:
    images = [picture(seed) for seed in range(7)]
    alone = [int(hashes(image)[0]) for image in images]
    assert hashes(*images).tolist() == alone


def test_hash_of_a_flat_picture_does_not_depend_on_its_shade() -> None:
    shades = [Image.new("RGB", (16, 16), (shade,) * 3) for shade in (7, 100, 255)]
    assert len(set(hashes(*shades).tolist())) == 1
