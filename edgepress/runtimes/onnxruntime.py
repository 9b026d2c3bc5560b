"""ONNX Runtime on this machine's CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.session import Session, entry


class Params(Config):
    """Parameters of `onnxruntime`."""

    method: Literal["onnxruntime"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the ONNX file in `folder`; a changed file is a UserError."""
    return OnnxSession(entry(folder, exported), exported, params.threads)


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
        self._session: Any = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input, self._outputs = exported.input_name, [exported.output_name]

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 [1, classes], of float32 [1, C, H, W]."""
        logits: npt.NDArray[np.float32] = self._session.run(self._outputs, {self._input: batch})[0]
        return logits

    def close(self) -> None:
        """Free the session."""
        self._session = None
