"""Quantized: a Bundle with the precision it is to be exported at, and what exporters need."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edgepress.records.record import Record

BUNDLE = "bundle"
CALIBRATION = "calibration"
REFERENCE = "reference.npz"


class Recipe(BaseModel):
    """How each target's own toolchain is to quantize."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    weights: Literal["float32", "int8"]
    activations: Literal["float32", "int8"]
    per_channel: bool
    """One weight scale per output channel rather than per tensor."""


class Quantized(Record):
    """A folder: quantized.json, bundle/ (the network), calibration/ (if any), reference.npz.

    reference.npz holds the float network's answers on the test split: ids (str), labels (int64) and
    logits (float32 [N, classes]); what every export is compared with.
    """

    file_name: ClassVar[str] = "quantized.json"

    precision: str
    """Key of the entry in params.yaml, the third word of a Target."""
    method: str
    recipe: Recipe
    bundle_sha256: str
    """sha256 over the bundle folder."""
    calibration_sha256: str | None
    """sha256 over the calibration folder, None where nothing is calibrated."""
    reference_sha256: str
