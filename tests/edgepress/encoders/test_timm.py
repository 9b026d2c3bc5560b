from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
METHOD = {"method": "timm", "model": "test_resnet", "pretrained": False, "side": 32, "batch": 64}


def _encode(manifest: Path, **changes: object) -> np.ndarray:
    images = ImageSet.open(manifest, "val")
    method = resolve("encoders", {**METHOD, **changes}, "params.yaml", "embed")
    encoder = method(Request(images, SPEC, 0))
    return np.concatenate(list(encoder.embed(images)))


def test_features_have_one_row_per_image_when_a_model_is_named(manifest: Path) -> None:
    matrix = _encode(manifest)
    assert matrix.shape[0] == len(ImageSet.open(manifest, "val"))
    assert np.isfinite(matrix).all()


def test_encoding_says_what_to_do_when_the_hub_cannot_be_reached(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(UserError, match="pretrained weights of 'test_resnet' cannot be had"):
        _encode(manifest, pretrained=True)


def test_encoding_suggests_the_nearest_when_the_model_is_unknown(manifest: Path) -> None:
    with pytest.raises(UserError, match="did you mean resnet50"):
        _encode(manifest, model="resnet500")
