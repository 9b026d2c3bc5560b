from __future__ import annotations

import pytest

from edgepress.errors import UserError
from edgepress.methods import resolve


def test_recipe_is_int8_and_the_network_the_same_when_quantized(job):
    for per_channel in (True, False):
        raw = {"method": "ptq", "images": 20, "per_channel": per_channel}
        result = resolve("quantization", raw, "params.yaml", "quantize.int8")(job)
        assert result.recipe.weights == result.recipe.activations == "int8"
        assert result.recipe.per_channel is per_channel
        assert result.network is job.network
        assert result.surgery == ()
        assert len(result.calibration.images) == 20
        assert set(result.calibration.images.ids) <= set(job.images.ids)


@pytest.mark.parametrize(
    ("change", "layers"),
    [({}, ("head.fc",)), ({"keep_float": "head"}, ("head.fc",)), ({"keep_float": "none"}, ())],
)
def test_layers_that_the_head_names_stay_float_unless_nothing_shall(job, change, layers):
    """A file written before there was a word for it means the same for heads that name none."""
    raw = {"method": "ptq", "images": 20, "per_channel": True, **change}
    method = resolve("quantization", raw, "params.yaml", "quantize.int8")
    assert method(job).recipe.float_layers == ()
    job.network.float_layers = ("head.fc",)
    assert method(job).recipe.float_layers == layers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep_float": "all"}, "quantize.int8.keep_float: Input should be 'head' or 'none'"),
        ({"images": 0}, "quantize.int8.images: Input should be greater than 0"),
        ({"images": "128"}, "quantize.int8.images: Input should be a valid integer"),
        ({"per_channel": None}, "quantize.int8.per_channel"),
        ({"chanels": 1}, "quantize.int8.chanels: unknown key; known: method, images"),
    ],
)
def test_params_refuse_when_a_value_is_out_of_bounds(change, message):
    raw = {"method": "ptq", "images": 128, "per_channel": True, **change}
    with pytest.raises(UserError, match=message):
        resolve("quantization", raw, "params.yaml", "quantize.int8")


def test_name_is_suggested_when_the_method_is_unknown():
    with pytest.raises(UserError, match=r"quantize.int8.method: 'ptqq' is not one of .*mean ptq"):
        resolve("quantization", {"method": "ptqq"}, "params.yaml", "quantize.int8")
