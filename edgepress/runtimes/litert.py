"""LiteRT (TensorFlow Lite) on this machine's CPU, with its XNNPACK kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect
from edgepress.runtimes.quiet import quiet
from edgepress.runtimes.session import Session, entry

EXPORTER = "tflite"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `litert`."""

    method: Literal["litert"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the file in `folder`; one that is missing, changed or no TFLite file is a UserError."""
    return LitertSession(entry(folder, exported), exported, params.threads)


class LitertSession:
    """A TFLite file under LiteRT; int8 borders are converted in `run`."""

    def __init__(self, path: Path, exported: Exported, threads: int) -> None:
        """Load `path` and allocate its tensors."""
        from ai_edge_litert.interpreter import Interpreter

        with quiet("litert"):
            try:
                self._interpreter: Any = Interpreter(str(path), num_threads=threads)
            except ValueError as error:
                raise UserError(
                    f"{path}: not a TFLite file ({error}); export {exported.target} again"
                ) from None
            self._interpreter.allocate_tensors()
        self._exported = exported
        signature = self._interpreter.get_signature_runner()
        self._inputs: dict[str, Any] = signature.get_input_details()
        self._outputs: dict[str, Any] = signature.get_output_details()
        shapes = {name: tensor["shape"] for name, tensor in self._inputs.items()}
        check_shapes(shapes, exported, path)

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        part = self._exported.part
        for port, values in zip(part.inputs, expect(inputs, self._exported), strict=True):
            tensor = self._inputs[port.stored]
            self._interpreter.set_tensor(tensor["index"], _into(values, tensor))
        self._interpreter.invoke()
        found = {}
        for port in part.outputs:
            tensor = self._outputs[port.stored]
            values = self._interpreter.get_tensor(tensor["index"])
            wanted = np.dtype(port.tensor.dtype)
            real = _out_of(values, tensor) if wanted.kind == "f" else values
            found[port.tensor.name] = answer(port, real)
        return found

    def close(self) -> None:
        """Free the interpreter."""
        self._interpreter = None


def _into(values: npt.NDArray[Any], tensor: dict[str, Any]) -> npt.NDArray[Any]:
    """Quantize to the tensor's type, saturating at its ends; a float tensor takes them as is."""
    dtype = tensor["dtype"]
    if dtype == np.float32 or values.dtype == dtype:
        return values
    scale, zero_point = tensor["quantization"]
    bounds = np.iinfo(dtype)
    stepped = np.clip(np.round(values / scale) + zero_point, bounds.min, bounds.max)
    return np.asarray(stepped, dtype=dtype)


def _out_of(values: npt.NDArray[Any], tensor: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return what the tensor's integers stand for, float32."""
    if values.dtype == np.float32:
        return values
    scale, zero_point = tensor["quantization"]
    return np.asarray((values.astype(np.float32) - zero_point) * np.float32(scale))
