from __future__ import annotations

from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.encoders.network_encoder import NetworkEncoder
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


def _open(model: str, side: int) -> NetworkEncoder:
    raw = {**METHOD, "model": model, "side": side}
    method = resolve("encoders", raw, "params.yaml", "embed")
    encoder: NetworkEncoder = method.module.open_model(method.params)
    return encoder


def test_features_have_one_row_per_image_when_a_model_is_named(manifest: Path) -> None:
    matrix = _encode(manifest)
    assert matrix.shape[0] == len(ImageSet.open(manifest, "val"))
    assert np.isfinite(matrix).all()


def test_encoding_says_what_to_do_when_the_hub_cannot_be_reached(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="weights of timm model 'test_resnet' cannot be had") as no:
        _encode(manifest, pretrained=True)
    assert "\n" not in str(no.value)


def test_model_is_made_for_the_side_when_it_has_a_fixed_size(manifest: Path) -> None:
    encoder = _open("test_vit", side=64)
    assert encoder.network.patch_embed.img_size == (64, 64)


def test_side_is_refused_in_one_line_when_the_model_cannot_take_it(manifest: Path) -> None:
    with pytest.raises(UserError, match=r"embed.model: .*'test_vit'.* 50 x 50.*160x160") as refused:
        _open("test_vit", side=50)
    assert "\n" not in str(refused.value)


def test_saved_encoder_has_timms_own_names_of_weights(tmp_path: Path) -> None:
    import timm

    encoder = _open("test_resnet", side=32)
    encoder.save(tmp_path, {**METHOD, "side": 32})
    theirs = timm.create_model("test_resnet", num_classes=0).state_dict()
    assert list(encoder.network.state_dict()) == list(theirs)
    loaded = NetworkEncoder.load(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(loaded.vectors(pixels), encoder.vectors(pixels))


def test_encoding_suggests_the_nearest_when_the_model_is_unknown(manifest: Path) -> None:
    with pytest.raises(UserError, match="did you mean resnet50"):
        _encode(manifest, model="resnet500")


def test_photographs_are_drafted_for_the_encoder_when_the_input_says_so(manifest: Path) -> None:
    images = ImageSet.open(manifest, "val")
    method = resolve("encoders", METHOD, "params.yaml", "embed")
    for draft in (False, True):
        spec = SPEC.model_copy(update={"draft": draft})
        assert method(Request(images, spec, 0)).spec.draft is draft
