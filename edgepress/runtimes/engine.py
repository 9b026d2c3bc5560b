"""A TensorRT or TensorRT-RTX engine on this machine's first GPU: both have the same interface."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect
from edgepress.runtimes.cuda import Buffers
from edgepress.runtimes.session import NotHere


class EngineSession:
    """A deserialized engine with its execution context and the buffers of its tensors."""

    def __init__(self, trt: Any, engine: bytes, exported: Exported) -> None:
        """Load `engine` with the module `trt`; NotHere if TensorRT refuses it."""
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise NotHere(f"TensorRT {trt.__version__} cannot load this engine on this machine")
        self._context = self._engine.create_execution_context()
        part = exported.part
        shapes = {each.stored: self._engine.get_tensor_shape(each.stored) for each in part.inputs}
        check_shapes(shapes, exported, "the engine")
        self._exported = exported
        ports = (*part.inputs, *part.outputs)
        held = {port.stored: np.empty(port.stored_shape, port.tensor.dtype) for port in ports}
        self._buffers = Buffers(held)
        for name in held:
            self._context.set_tensor_address(name, self._buffers.address(name))

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        part = self._exported.part
        for port, values in zip(part.inputs, expect(inputs, self._exported), strict=True):
            self._buffers.upload(port.stored, np.ascontiguousarray(values))
        if not self._context.execute_async_v3(self._buffers.stream):
            raise RuntimeError("the engine refused to run; its messages above say why")
        found = self._buffers.download([port.stored for port in part.outputs])
        pairs = zip(part.outputs, found, strict=True)
        return {port.tensor.name: answer(port, values) for port, values in pairs}

    def close(self) -> None:
        """Free the engine and its buffers."""
        self._context = self._engine = self._runtime = None
        self._buffers.close()
