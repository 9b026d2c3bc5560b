"""SavedEncoder: a frozen encoder as a folder, encoder.json beside encoder.safetensors."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record

WEIGHTS = "encoder.safetensors"


class SavedEncoder(Record):
    """What is needed to make of any image the vector that the encoder made of it."""

    file_name: ClassVar[str] = "encoder.json"
    schema_version: int = 2

    method: dict[str, Any]
    """Method and parameters, as in params.yaml."""
    input: InputSpec
    """What the network is given."""
    batch: int = Field(gt=0)
    """Images per forward pass, part of the result: kernels may round by it."""
    weights_sha256: str
    """sha256 of encoder.safetensors: the network's tensors, and what is subtracted from vectors."""
