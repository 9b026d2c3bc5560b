"""OpenVINO on this machine's CPU."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.border import check_shape, expect
from edgepress.runtimes.session import Session, entry


class Params(Config):
    """Parameters of `openvino`."""

    method: Literal["openvino"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def library() -> Any:
    """Import openvino so that neither it nor NNCF after it sends anything home.

    Both fall back to a stub where their telemetry package cannot be imported; without it they
    would write an id to the home folder and report each use unless somebody opted out by hand.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Compile model.xml in `folder` for this CPU; missing or damaged files are UserErrors."""
    return OpenvinoSession(entry(folder, exported), exported, params.threads)


class OpenvinoSession:
    """A compiled OpenVINO model with one infer request."""

    def __init__(self, path: Path, exported: Exported, threads: int) -> None:
        """Compile for lowest latency, float32 where the file says float32."""
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Without it a CPU with bfloat16 units computes float32 files in bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            compiled = library().Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            raise UserError(
                f"{path}: OpenVINO refuses it ({error}); export {exported.target} again"
            ) from None
        check_shape(compiled.input(0).shape, exported, path)
        self._exported = exported
        self._request: Any = compiled.create_infer_request()
        self._output: Any = compiled.output(0)

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 [1, classes], of float32 [1, C, H, W]."""
        results = self._request.infer([expect(batch, self._exported)], share_inputs=True)
        logits: npt.NDArray[np.float32] = results[self._output]
        return logits

    def close(self) -> None:
        """Free the compiled model."""
        self._request = self._output = None
