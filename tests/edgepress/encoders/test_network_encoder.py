from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.encoders.request import Request
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from tests.parts import PARTS

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
METHODS: dict[str, dict[str, Any]] = {
    "rotation": {
        "method": "rotation", "width": 4, "epochs": 1, "batch": 64, "learning_rate": 0.05,
        "weight_decay": 0.0005, **PARTS, "augment": "none", "precision": "fp32",
    },
    "timm": {
        "method": "timm", "model": "test_resnet", "pretrained": False, "side": 32, "batch": 48
    },
}  # fmt: skip


def _fitted(manifest: Path, name: str) -> tuple[NetworkEncoder, ImageSet]:
    images = ImageSet.open(manifest, "val")
    method = resolve("encoders", METHODS[name], "params.yaml", "embed")
    return method(Request(images, SPEC, 0)), images


@pytest.mark.parametrize("name", METHODS)
def test_vectors_are_the_same_to_the_bit_when_the_encoder_is_saved_and_loaded(
    manifest: Path, tmp_path: Path, name: str
) -> None:
    encoder, images = _fitted(manifest, name)
    encoder.save(tmp_path, METHODS[name])
    expected = np.concatenate(list(encoder.embed(images)))
    loaded = NetworkEncoder.load(tmp_path)
    np.testing.assert_array_equal(np.concatenate(list(loaded.embed(images))), expected)
    pixels = images.pixels(encoder.spec)
    np.testing.assert_array_equal(
        loaded.vectors(pixels[: encoder.batch]), expected[: encoder.batch]
    )


def test_loading_is_refused_when_the_folder_is_damaged(manifest: Path, tmp_path: Path) -> None:
    encoder, _ = _fitted(manifest, "rotation")
    with pytest.raises(UserError, match=r"encoder.json: file not found"):
        NetworkEncoder.load(tmp_path)
    encoder.save(tmp_path, {**METHODS["rotation"], "width": 8})
    with pytest.raises(UserError, match=r"safetensors: does not fit the network"):
        NetworkEncoder.load(tmp_path)
    encoder.save(tmp_path, METHODS["rotation"])
    (tmp_path / "encoder.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"is not the file encoder.json names"):
        NetworkEncoder.load(tmp_path)
