"""A bare ONNX file under ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.errors import UserError
from edgepress.records.tensors import Array
from edgepress.runtimes.bare import Shapes, Slot, refused, settled
from edgepress.runtimes.onnx_session import opened

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    **{f"tensor({name})": name for name in ("int8", "uint8", "int16", "int32", "int64")},
}


def load(path: Path, threads: int, shapes: Shapes) -> BareOnnx:
    """Open a file."""
    return BareOnnx(path, threads, shapes)


class BareOnnx:
    """An ONNX file."""

    def __init__(self, path: Path, threads: int, shapes: Shapes) -> None:
        """Load `path`; what is refused is a UserError."""
        try:
            self._session: Any = opened(path, threads)
        except ImportError:
            raise
        except Exception as error:  # its classes have no base of their own
            raise refused(path, "ONNX Runtime", error) from None
        self.inputs = tuple(_slot(path, each, shapes) for each in self._session.get_inputs())

    def run(self, inputs: Sequence[Array]) -> object:
        """Run the model once."""
        names = (slot.name for slot in self.inputs)
        return self._session.run(None, dict(zip(names, inputs, strict=True)))

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _slot(path: Path, given: Any, shapes: Shapes) -> Slot:
    if given.type not in _TYPES:
        raise UserError(f"{path}: input {given.name} is {given.type}, which cannot be made up")
    declared = [size if isinstance(size, int) else None for size in given.shape]
    shape = settled(path, given.name, declared, shapes)
    return Slot(given.name, shape, np.dtype(_TYPES[given.type]))
