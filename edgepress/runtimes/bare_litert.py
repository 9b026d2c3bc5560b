"""A bare TFLite file under LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.records.tensors import Array
from edgepress.runtimes.bare import Shapes, Slot, refused, settled
from edgepress.runtimes.quiet import quiet


def load(path: Path, threads: int, shapes: Shapes) -> BareLitert:
    """Open a file."""
    return BareLitert(path, threads, shapes)


class BareLitert:
    """A TFLite file; inputs are named as its signature names them, else as its tensors are."""

    def __init__(self, path: Path, threads: int, shapes: Shapes) -> None:
        """Load `path` and allocate its tensors; what is refused is a UserError."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet("litert"):
                self._interpreter: Any = Interpreter(str(path), num_threads=threads)
                details = _details(self._interpreter)
        except (ValueError, RuntimeError) as error:
            raise refused(path, "LiteRT", error) from None
        self.inputs = tuple(_slot(path, name, each, shapes) for name, each in details.items())
        self._places = [each["index"] for each in details.values()]
        try:
            with quiet("litert"):
                for slot, each in zip(self.inputs, details.values(), strict=True):
                    if slot.shape != tuple(each["shape"].tolist()):
                        self._interpreter.resize_tensor_input(each["index"], slot.shape)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise refused(path, "LiteRT", error) from None
        self._outputs = [each["index"] for each in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> object:
        """Run the model once."""
        for place, values in zip(self._places, inputs, strict=True):
            self._interpreter.set_tensor(place, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(place) for place in self._outputs]

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None


def _details(interpreter: Any) -> dict[str, Any]:
    if interpreter.get_signature_list():
        held: dict[str, Any] = interpreter.get_signature_runner().get_input_details()
        return held
    return {each["name"]: each for each in interpreter.get_input_details()}


def _slot(path: Path, name: str, tensor: dict[str, Any], shapes: Shapes) -> Slot:
    declared = tensor.get("shape_signature", tensor["shape"]).tolist()
    if len(declared) != len(tensor["shape"]):  # files of fixed shapes may have none
        declared = tensor["shape"].tolist()
    open_ones = [None if size < 0 else int(size) for size in declared]
    return Slot(name, settled(path, name, open_ones, shapes), np.dtype(tensor["dtype"]))
