"""A session of an ONNX file, shared by ONNX Runtime's target and TensorRT's stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepress.errors import UserError
from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect


def opened(path: Path, threads: int, *, as_written: bool = False) -> Any:
    """Return ONNX Runtime's session of a file, with its own error where it refuses it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would be charged to the next run measured on this machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if as_written:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class OnnxSession:
    """An ONNX file under ONNX Runtime."""

    def __init__(
        self, path: Path, exported: Exported, threads: int, *, as_written: bool = False
    ) -> None:
        """Load `path`; `as_written` fuses nothing, so that Q/DQ nodes are computed in float."""
        try:
            self._session: Any = opened(path, threads, as_written=as_written)
        except ImportError:
            raise
        except Exception as error:  # Its classes have no base of their own, and none is public.
            raise UserError(
                f"{path}: ONNX Runtime refuses it ({error}); export {exported.target} again"
            ) from None
        shapes = {each.name: each.shape for each in self._session.get_inputs()}
        check_shapes(shapes, exported, path)
        self._exported, self._outputs = exported, exported.part.outputs
        self._names = [port.stored for port in exported.part.inputs]

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        feed = dict(zip(self._names, expect(inputs, self._exported), strict=True))
        found = self._session.run([port.stored for port in self._outputs], feed)
        pairs = zip(self._outputs, found, strict=True)
        return {port.tensor.name: answer(port, values) for port, values in pairs}

    def close(self) -> None:
        """Free the session."""
        self._session = None
