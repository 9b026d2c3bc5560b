"""Bare: a model's file alone, opened without a record, for what only runs it.

Which runtime opens it goes by its suffix. Its inputs are the file's own: names, shapes and types.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from edgepress.errors import UserError
from edgepress.records.tensors import Array

RUNTIMES = {
    ".onnx": "onnxruntime",
    ".xml": "openvino",
    ".tflite": "litert",
    ".pte": "executorch",
}
"""Suffix -> the runtime that opens it, whose other half is `bare_<runtime>.py`."""
PACKAGES = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai-edge-litert",
    "executorch": "executorch",
}
"""Runtime -> the Python package that it comes in."""
Shapes = Mapping[str, tuple[int, ...]]
"""Name of an input -> the shape to run it with."""


@dataclass(frozen=True)
class Slot:
    """One input of a file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Bare(Protocol):
    """A loaded file."""

    inputs: tuple[Slot, ...]

    def run(self, inputs: Sequence[Array]) -> object:
        """Run the model once on arrays in the order of `inputs`; its answer is not looked at."""
        ...

    def close(self) -> None:
        """Free what is held; it must not be used afterwards."""
        ...


def load(path: Path, threads: int, shapes: Shapes) -> Bare:
    """Open a file; one that is refused, or whose shapes are open, is a UserError."""
    module = importlib.import_module(f"edgepress.runtimes.bare_{runtime_of(path)}")
    try:
        return cast(Bare, module.load(path, threads, shapes))
    except ImportError as error:
        raise UserError(
            f"{path}: its runtime cannot be imported ({error}); `edgepress doctor` says what to "
            "install"
        ) from None


def runtime_of(path: Path) -> str:
    """Return the runtime of a file; no file, or a suffix that no runtime has, is a UserError."""
    if path.suffix.lower() not in RUNTIMES:
        known = ", ".join(RUNTIMES)
        raise UserError(f"{path}: cannot be measured by its suffix; name a file of {known}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return RUNTIMES[path.suffix.lower()]


def settled(
    path: Path, name: str, declared: Sequence[int | None], shapes: Shapes
) -> tuple[int, ...]:
    """Return the shape an input is run with; `declared` has None for what the file leaves open."""
    words = ",".join("?" if size is None else str(size) for size in declared)
    asked = shapes.get(name)
    if asked is None:
        if None in declared:
            fill = ",".join("1" if size is None else str(size) for size in declared)
            raise UserError(f"{path}: input {name} is open, {words}; say --shape {name}={fill}")
        return tuple(size for size in declared if size is not None)
    fits = len(asked) == len(declared) and all(
        size in (None, given) for size, given in zip(declared, asked, strict=True)
    )
    if not fits:
        said = ",".join(map(str, asked))
        raise UserError(f"{path}: input {name} is {words} in the file, --shape says {said}")
    return asked


def refused(path: Path, runtime: str, error: Exception) -> UserError:
    """Return what to tell of a file that a runtime does not open."""
    return UserError(f"{path}: {runtime} refuses it ({str(error)[:400]})")
