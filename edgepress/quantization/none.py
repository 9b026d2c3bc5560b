"""No quantization: float32 weights and activations."""

from __future__ import annotations

from typing import Literal

from edgepress.params import Config
from edgepress.quantization.quantize_job import Quantization, QuantizeJob
from edgepress.records.quantized import Recipe


class Params(Config):
    """Parameters of `none`."""

    method: Literal["none"]
    """Name of the method."""


def quantize(job: QuantizeJob, *, params: Params) -> Quantization:
    """Return the job's network, to be exported as it is."""
    recipe = Recipe(weights="float32", activations="float32", per_channel=False)
    return Quantization(recipe, job.network, calibration=None)
