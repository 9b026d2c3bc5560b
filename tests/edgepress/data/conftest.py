"""Small real pictures, written by Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]


def encode_picture(seed: int = 0, size: int = 12, mode: str = "RGB", kind: str = "png") -> bytes:
    """Return a random smooth picture of a mode, encoded."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture
def encode() -> Encode:
    return encode_picture


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Two classes of 30 images each, no splits."""
    root = tmp_path / "pictures"
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for number in range(30):
            data = encode_picture(100 * label + number)
            (root / name / f"{number:02}.png").write_bytes(data)
    return root
