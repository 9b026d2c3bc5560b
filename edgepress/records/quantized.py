"""Quantized: a Bundle with the precision it is to be exported at, and what exporters need."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgepress.records.record import Record

BUNDLE = "bundle"
CALIBRATION = "calibration"
REFERENCE = "reference"


class TensorScale(BaseModel):
    """How one tensor is quantized; what is None is left to the export to calibrate.

    real = scale * (integer - zero point); integers are signed, -128 to 127 for 8 bits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bits: Literal[4, 8, 16, 32] = 8
    """32 keeps the tensor in float32, 16 in float16."""
    scale: tuple[float, ...] | None = Field(default=None, min_length=1)
    """One value, or one per slice along `axis`."""
    zero_point: tuple[int, ...] | None = None
    """As many; None beside a scale is 0."""
    axis: int | None = Field(default=None, ge=0)
    """Axis of a scale per slice; None is one scale for the tensor."""

    @model_validator(mode="after")
    def _a_zero_point_per_scale(self) -> Self:
        if self.zero_point is not None and len(self.zero_point) != len(self.scale or ()):
            raise ValueError("as many zero points as scales, and none without a scale")
        if self.scale is None:
            return self
        if min(self.scale) <= 0:
            raise ValueError("scales must be above 0")
        if self.bits > 8:
            raise ValueError(f"{self.bits} bits are a float's: no scale")
        if len(self.scale) > 1 and self.axis is None:
            raise ValueError(f"{len(self.scale)} scales need the axis they lie along")
        half = 2 ** (self.bits - 1)
        if not all(-half <= point < half for point in self.zero_point or ()):
            raise ValueError(f"zero points of {self.bits} bits lie from {-half} to {half - 1}")
        return self


class Recipe(BaseModel):
    """How each target's own toolchain is to quantize."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    weights: Literal["float32", "int8"]
    activations: Literal["float32", "int8"]
    per_channel: bool
    """One weight scale per output channel rather than per tensor, where none is given."""
    tensors: dict[str, TensorScale] = {}
    """What differs from the above: a parameter (`backbone.conv1.weight`), the output of a module
    (`backbone.conv1`) or an input (`image`) -> how it is quantized."""
    float_layers: tuple[str, ...] = ()
    """Modules with weights (`head.last`) that stay in float32, and all that follows them."""


class Quantized(Record):
    """A folder: quantized.json, bundle/ (the network), calibration/ (if any), reference/."""

    file_name: ClassVar[str] = "quantized.json"
    schema_version: int = 2

    precision: str
    """Key of the entry in params.yaml, the third word of a Target."""
    method: str
    recipe: Recipe
    bundle_sha256: str
    """sha256 over the bundle folder."""
    calibration_sha256: str | None
    """sha256 over the calibration folder, None where nothing is calibrated."""
    reference_sha256: str
    """sha256 over the reference folder: what every export is compared with."""
