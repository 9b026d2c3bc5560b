"""A bare ExecuTorch program; its inputs are numbered, and as large as it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.errors import UserError
from edgepress.records.tensors import Array
from edgepress.runtimes.bare import Shapes, Slot, refused, settled
from edgepress.runtimes.executorch import opened

_TYPES = {
    0: "uint8",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "float16",
    6: "float32",
    7: "float64",
    11: "bool",
}
"""Numbers of ExecuTorch's ScalarType."""


def load(path: Path, threads: int, shapes: Shapes) -> BareExecutorch:
    """Open a file."""
    return BareExecutorch(path, threads, shapes)


class BareExecutorch:
    """The method `forward` of a .pte file."""

    def __init__(self, path: Path, threads: int, shapes: Shapes) -> None:
        """Load `path` and plan its memory; what is refused is a UserError."""
        import torch

        self._tensor = torch.from_numpy
        try:
            self._program, self._method = opened(path, threads)
            meta: Any = self._method.method_meta()
            self._held = [meta.input_tensor_meta(i) for i in range(meta.num_inputs())]
        except RuntimeError as error:
            raise refused(path, "ExecuTorch", error) from None
        self.inputs = tuple(_slot(path, i, each, shapes) for i, each in enumerate(self._held))

    def run(self, inputs: Sequence[Array]) -> object:
        """Run the model once."""
        return self._method.call(tuple(map(self._tensor, inputs)))

    def close(self) -> None:
        """Free the method and its program."""
        self._method = self._program = None


def _slot(path: Path, index: int, meta: Any, shapes: Shapes) -> Slot:
    kind = int(meta.dtype())
    if kind not in _TYPES:
        raise UserError(f"{path}: input {index} is of type {kind}, which cannot be made up")
    shape = settled(path, str(index), list(meta.sizes()), shapes)
    return Slot(str(index), shape, np.dtype(_TYPES[kind]))
