"""Post-training INT8: each target's own toolchain quantizes from one versioned calibration set.

Uniform affine quantization of weights and activations after training, ranges taken from a few
images: https://arxiv.org/abs/1806.08342
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.params import Config
from edgepress.quantization.calibration_set import collect
from edgepress.quantization.quantize_job import Quantization, QuantizeJob
from edgepress.records.quantized import Recipe


class Params(Config):
    """Parameters of `ptq`."""

    method: Literal["ptq"]
    """Name of the method."""
    images: int = Field(gt=0)
    """Calibration images, taken from the kept training images, the classes in turn."""
    per_channel: bool
    """One weight scale per output channel rather than per tensor."""
    keep_float: Literal["head", "none"] = "head"
    """What stays in float: the layers that the head names, those that give boxes, confidences and
    maps (a classifier names none), or nothing."""


def quantize(job: QuantizeJob, *, params: Params) -> Quantization:
    """Choose the calibration set and leave the network as it is; the exporters do the rest."""
    recipe = Recipe(
        weights="int8",
        activations="int8",
        per_channel=params.per_channel,
        float_layers=job.float_layers if params.keep_float == "head" else (),
    )
    return Quantization(recipe, job.network, collect(job.images, job.bundle.input, params.images))
