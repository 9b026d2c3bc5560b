"""Benched: what one or several model files took on one machine, timed in turns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edgepress.records.measurement import Conditions, Latency


class BenchedModel(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file: str
    sha256: str
    """Of the named file alone."""
    bytes: int
    """With its weights where they are in a file beside it."""
    runtime: str
    inputs: dict[str, str]
    """Name -> type and shape it was run with, for example float32 1,3,224,224."""
    latency: Latency
    """Its speed-up is over the first model; None for that one."""
    peak_memory_mb: float | None
    """Peak resident memory of a fresh process that loads the file and runs it."""


class Benched(BaseModel):
    """A run of `edgepress bench`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    models: tuple[BenchedModel, ...]
    data: str
    """What the inputs were: random, or pictures of a folder."""
    conditions: Conditions
