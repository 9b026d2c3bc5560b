"""Exported: the files a target's runtime loads, with how they were made."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec, permutation


class ExportedFile(BaseModel):
    """One file of an export, by path relative to the export's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: str
    bytes: int


class Port(BaseModel):
    """One tensor of a graph: as a session takes or gives it, and as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    tensor: TensorSpec
    """What `Session.run` takes or gives under `tensor.name`."""
    stored: str
    """Name inside the file."""
    layout: str
    """Axes as the file has them, for example NHWC; sessions turn them."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of the file's own tensor."""
        axes = permutation(self.tensor.layout, self.layout)
        return tuple(self.tensor.shape[axis] for axis in axes)


class Part(BaseModel):
    """One graph of an export; most exports have one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    entry: str
    """Relative path of the file or folder (Core ML package) the runtime opens."""
    inputs: tuple[Port, ...] = Field(min_length=1)
    outputs: tuple[Port, ...] = Field(min_length=1)


class Exported(Record):
    """A model in a target's format; the files lie beside exported.json."""

    file_name: ClassVar[str] = "exported.json"
    schema_version: int = 2

    target: Target
    format: str
    """The exporter's name, for example onnx."""
    parts: tuple[Part, ...] = Field(min_length=1)
    """The graphs; more than one only where a program of several runs them."""
    files: tuple[ExportedFile, ...]
    task: dict[str, Any]
    """The params.yaml entry of the task: how the outputs are decoded."""
    classes: tuple[str, ...]
    input: InputSpec
    """What is done to a picture before it is the first part's input."""
    tools: dict[str, str]
    """Package -> version of everything that shaped the files."""
    bundle_sha256: str
    calibration_sha256: str | None
    notes: tuple[str, ...] = ()
    """What a user of the file should know, for example a layer kept in float."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files)

    @property
    def part(self) -> Part:
        """The one graph of an export that has no more."""
        (only,) = self.parts
        return only
