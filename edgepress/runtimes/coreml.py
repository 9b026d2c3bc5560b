"""Core ML on a Mac; elsewhere a reference interpreter checks the graph, and nothing is timed.

Core ML has no setting for threads and picks CPU, GPU or Neural Engine itself: `threads` is taken
and not used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect
from edgepress.runtimes.mil.interpreter import Interpreter
from edgepress.runtimes.mil.program import Program, read_program
from edgepress.runtimes.quiet import quiet
from edgepress.runtimes.session import NotHere, Session, entry

EXPORTER = "coreml"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `coreml`."""

    method: Literal["coreml"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Accepted for all runtimes alike; Core ML decides by itself."""


def library(*unneeded: str) -> Any:
    """Import coremltools without the converters we never call, and without `unneeded`.

    It imports every package it has a converter for: 8 s instead of 25 s here.
    """
    with (
        quiet("coremltools"),
        _absent("executorch", "sklearn", "torchao", "torchvision", "transformers", *unneeded),
    ):
        return importlib.import_module("coremltools")


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the package in `folder`; a changed file is a UserError, any host but a Mac NotHere."""
    if sys.platform != "darwin":
        raise NotHere("Core ML runs on macOS and iOS only; validate this target on a Mac")
    return CoremlSession(_program(folder, exported), exported)


def stand_in(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the package into the reference interpreter: what its graph computes, on any host."""
    return ReferenceSession(_program(folder, exported), exported)


class CoremlSession:
    """A package compiled by this Mac."""

    def __init__(self, program: Program, exported: Exported) -> None:
        """Compile the package."""
        self._model: Any = library("torch").models.MLModel(str(program.path))
        self._exported = exported

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        ports = self._exported.part
        names = [port.stored for port in ports.inputs]
        held = expect(inputs, self._exported)
        found = self._model.predict(dict(zip(names, held, strict=True)))
        return {port.tensor.name: answer(port, found[port.stored]) for port in ports.outputs}

    def close(self) -> None:
        """Free the compiled model."""
        self._model = None


class ReferenceSession:
    """A package in the NumPy interpreter: slow, and no word on the device's own kernels."""

    def __init__(self, program: Program, exported: Exported) -> None:
        """Unpack the weights; an operation the interpreter lacks is NotHere with its name."""
        self._interpreter: Interpreter | None = Interpreter(program)
        self._exported = exported

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        if self._interpreter is None:
            raise RuntimeError("the session is closed")
        ports = self._exported.part
        names = [port.stored for port in ports.inputs]
        held = expect(inputs, self._exported)
        found = self._interpreter.run(dict(zip(names, held, strict=True)))
        return {port.tensor.name: answer(port, found[port.stored]) for port in ports.outputs}

    def close(self) -> None:
        """Free the weights."""
        self._interpreter = None


def _program(folder: Path, exported: Exported) -> Program:
    """Read the package and compare its border with exported.json."""
    program = read_program(entry(folder, exported))
    wanted = [port.stored for port in exported.part.outputs]
    if list(program.outputs) != wanted:
        raise UserError(
            f"{program.path}: gives {', '.join(program.outputs)}, exported.json says "
            f"{', '.join(wanted)}; export {exported.target} again"
        )
    check_shapes(program.inputs, exported, program.path)
    return program


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Make imports of packages that are not loaded yet fail inside the block."""
    hidden = [package for package in packages if package not in sys.modules]
    try:
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
        yield
    finally:
        for package in hidden:
            sys.modules.pop(package, None)
