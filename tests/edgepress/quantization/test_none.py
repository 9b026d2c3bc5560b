from __future__ import annotations

from edgepress.methods import resolve


def test_recipe_is_float_and_nothing_is_calibrated_when_not_quantized(job):
    result = resolve("quantization", {"method": "none"}, "params.yaml", "quantize.fp32")(job)
    assert result.recipe.weights == result.recipe.activations == "float32"
    assert result.calibration is None
    assert result.network is job.network
