"""timm's models as backbones: pooled or as maps, and what cannot take the input says which can."""

from __future__ import annotations

import pytest
import torch

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec


def _spec(side: int) -> InputSpec:
    return InputSpec(height=side, width=side, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)


def _build(model: str, side: int, features: str, **arguments: object) -> object:
    raw = {"method": "timm", "model": model, "arguments": arguments}
    return resolve("backbones", raw, "params.yaml", "b")(_spec(side), features)


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("features", ["pooled", "maps"])
def test_info_is_what_comes_out_when_the_input_is_small(model: str, features: str) -> None:
    body = _build(model, 64, features).eval()
    with torch.no_grad():
        found = body(torch.zeros(2, 3, 64, 64))
    if features == "pooled":
        assert body.info == (FeatureInfo(found.shape[1], 0),)
    else:
        assert [each.channels for each in body.info] == [each.shape[1] for each in found]
        assert [each.reduction for each in body.info] == [64 // each.shape[2] for each in found]


def test_strides_are_timms_own_when_maps_are_asked_for() -> None:
    import timm

    theirs = timm.create_model("test_resnet", features_only=True).feature_info
    ours = _build("test_resnet", 64, "maps").info
    assert [each.reduction for each in ours] == theirs.reduction()
    assert [each.channels for each in ours] == theirs.channels()


def test_channels_come_first_when_timms_maps_have_them_last() -> None:
    body = _build("swin_tiny_patch4_window7_224", 64, "maps")
    assert [each.channels for each in body.info] == [96, 192, 384, 768]
    assert [each.reduction for each in body.info] == [4, 8, 16, 32]


def test_size_that_is_asserted_on_is_refused_by_name_and_size() -> None:
    with pytest.raises(UserError, match=r"'halonet26t'.* 64 x 64.*: Asser.*256x256, least 256"):
        _build("halonet26t", 64, "pooled")


def test_tags_are_listed_when_there_is_no_such() -> None:
    with pytest.raises(UserError, match=r"'test_resnet' has no weights 'in22k'; it has r160_in1k"):
        _build("test_resnet.in22k", 64, "pooled")


def test_size_is_refused_in_one_line_when_the_model_cannot_take_it() -> None:
    with pytest.raises(UserError, match=r"'test_vit'.* 50 x 50.*160") as refused:
        _build("test_vit", 50, "pooled", img_size=160)
    assert "\n" not in str(refused.value)


def test_arguments_are_refused_in_one_line_when_the_model_has_no_such() -> None:
    with pytest.raises(UserError, match=r"cannot be made .*no_such_argument"):
        _build("test_resnet", 32, "pooled", no_such_argument=1)


def test_name_is_suggested_when_it_is_wrong() -> None:
    with pytest.raises(UserError, match="did you mean resnet18"):
        _build("resnet18x", 32, "pooled")
