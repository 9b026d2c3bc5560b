"""A bare OpenVINO model, .xml beside .bin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.records.tensors import Array
from edgepress.runtimes.bare import Shapes, Slot, refused, settled
from edgepress.runtimes.openvino import library, settings


def load(path: Path, threads: int, shapes: Shapes) -> BareOpenvino:
    """Compile a file for this CPU."""
    return BareOpenvino(path, threads, shapes)


class BareOpenvino:
    """A compiled model with one infer request."""

    def __init__(self, path: Path, threads: int, shapes: Shapes) -> None:
        """Give the inputs their shapes and compile; what is refused is a UserError."""
        core = library().Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise refused(path, "OpenVINO", error) from None
        self.inputs = tuple(_slot(path, port, shapes) for port in model.inputs)
        try:
            pairs = zip(model.inputs, self.inputs, strict=True)
            model.reshape({port: list(slot.shape) for port, slot in pairs})
            compiled = core.compile_model(model, "CPU", settings(threads))
        except RuntimeError as error:
            raise refused(path, "OpenVINO", error) from None
        self._request: Any = compiled.create_infer_request()

    def run(self, inputs: Sequence[Array]) -> object:
        """Run the model once."""
        return self._request.infer(dict(enumerate(inputs)), share_inputs=True)

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def _slot(path: Path, port: Any, shapes: Shapes) -> Slot:
    name = port.get_any_name() if port.get_names() else f"input{port.get_index()}"
    declared = [size.get_length() if size.is_static else None for size in port.partial_shape]
    return Slot(name, settled(path, name, declared, shapes), np.dtype(port.element_type.to_dtype()))
