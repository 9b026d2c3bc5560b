"""Exported: the files a target's runtime loads, with how they were made."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record
from edgepress.records.target import Target


class ExportedFile(BaseModel):
    """One file of an export, by path relative to the export's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: str
    bytes: int


class Exported(Record):
    """A model in a target's format; the files lie beside exported.json."""

    file_name: ClassVar[str] = "exported.json"

    target: Target
    format: str
    """The exporter's name, for example onnx."""
    entry: str
    """Relative path of the file or folder (Core ML package) the runtime opens."""
    files: tuple[ExportedFile, ...]
    input: InputSpec
    layout: Literal["NCHW", "NHWC"]
    """Layout of the file's own input; runtimes here take NCHW float32 and convert at the border."""
    input_name: str
    output_name: str
    classes: tuple[str, ...]
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
