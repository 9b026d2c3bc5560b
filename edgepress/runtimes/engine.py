"""A TensorRT or TensorRT-RTX engine on this machine's first GPU: both have the same interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.records.exported import Exported
from edgepress.runtimes.border import check_shape, expect
from edgepress.runtimes.cuda import Buffers
from edgepress.runtimes.session import NotHere


class EngineSession:
    """A deserialized engine with its execution context, one input and one output."""

    def __init__(self, trt: Any, engine: bytes, exported: Exported) -> None:
        """Load `engine` with the module `trt`; NotHere if TensorRT refuses it."""
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise NotHere(f"TensorRT {trt.__version__} cannot load this engine on this machine")
        self._context = self._engine.create_execution_context()
        check_shape(self._engine.get_tensor_shape(exported.input_name), exported, "the engine")
        self._exported = exported
        logits = np.empty((1, len(exported.classes)), np.float32)
        self._buffers = Buffers(int(np.prod(exported.input.shape)) * logits.itemsize, logits)
        self._context.set_tensor_address(exported.input_name, self._buffers.input)
        self._context.set_tensor_address(exported.output_name, self._buffers.output)

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 [1, classes], of float32 [1, C, H, W]."""
        self._buffers.upload(np.ascontiguousarray(expect(batch, self._exported)))
        if not self._context.execute_async_v3(self._buffers.stream):
            raise RuntimeError("the engine refused to run; its messages above say why")
        return self._buffers.download()

    def close(self) -> None:
        """Free the engine and its buffers."""
        self._context = self._engine = self._runtime = None
        self._buffers.close()
