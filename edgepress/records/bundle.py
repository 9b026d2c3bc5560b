"""Bundle: a model as a folder, model.json beside weights.safetensors."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record

WEIGHTS = "weights.safetensors"


class Resize(BaseModel):
    """One replayable surgery step: the new shapes and size attributes of one module."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    module: str
    """Dotted name in the network."""
    attributes: dict[str, int]
    """Integer attributes to set, for example out_channels."""
    shapes: dict[str, tuple[int, ...]]
    """Parameter or buffer name -> new shape."""


class Bundle(Record):
    """Everything needed to rebuild a network, pruned shapes and all, without pickle."""

    file_name: ClassVar[str] = "model.json"

    task: Literal["classification"]
    backbone: dict[str, Any]
    """The params.yaml entry that names the backbone's method and arguments."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names in the order of the network's outputs."""
    input: InputSpec
    surgery: tuple[Resize, ...] = ()
    """Shape changes to replay on a freshly built network before its weights are loaded."""
    parameters: int
    """Number of weights of the network as it stands."""
    macs: int
    """Multiply-accumulates of one image."""
    lineage: dict[str, str]
    """What it was made from: stage, seed, sha256 of each input."""
    weights_sha256: str
