"""A session of an ONNX file, shared by ONNX Runtime's target and TensorRT's stand-ins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.records.exported import Exported
from edgepress.runtimes.border import check_shape, expect


class OnnxSession:
    """An ONNX file under ONNX Runtime."""

    def __init__(
        self, path: Path, exported: Exported, threads: int, *, as_written: bool = False
    ) -> None:
        """Load `path`; `as_written` fuses nothing, so that Q/DQ nodes are computed in float."""
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
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # Its classes have no base of their own, and none is public.
            raise UserError(
                f"{path}: ONNX Runtime refuses it ({error}); export {exported.target} again"
            ) from None
        check_shape(self._session.get_inputs()[0].shape, exported, path)
        self._exported, self._outputs = exported, [exported.output_name]

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 [1, classes], of float32 [1, C, H, W]."""
        feed = {self._exported.input_name: expect(batch, self._exported)}
        logits: npt.NDArray[np.float32] = self._session.run(self._outputs, feed)[0]
        return logits

    def close(self) -> None:
        """Free the session."""
        self._session = None
