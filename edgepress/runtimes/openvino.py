"""OpenVINO on this machine's CPU."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect
from edgepress.runtimes.session import Session, entry

EXPORTER = "openvino"
"""The exporter whose files this runtime loads."""


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


def settings(threads: int) -> dict[str, Any]:
    """Return what a model is compiled by."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Without it a CPU with bfloat16 units computes float32 files in bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Compile model.xml in `folder` for this CPU; missing or damaged files are UserErrors."""
    return OpenvinoSession(entry(folder, exported), exported, params.threads)


class OpenvinoSession:
    """A compiled OpenVINO model with one infer request."""

    def __init__(self, path: Path, exported: Exported, threads: int) -> None:
        """Compile for lowest latency, float32 where the file says float32."""
        try:
            compiled = library().Core().compile_model(path, "CPU", settings(threads))
        except RuntimeError as error:
            raise UserError(
                f"{path}: OpenVINO refuses it ({error}); export {exported.target} again"
            ) from None
        shapes = {port.get_any_name(): port.shape for port in compiled.inputs}
        check_shapes(shapes, exported, path)
        self._exported = exported
        self._request: Any = compiled.create_infer_request()
        self._inputs = [compiled.input(port.stored) for port in exported.part.inputs]
        self._outputs = [compiled.output(port.stored) for port in exported.part.outputs]

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        feed = dict(zip(self._inputs, expect(inputs, self._exported), strict=True))
        results = self._request.infer(feed, share_inputs=True)
        return {
            port.tensor.name: answer(port, results[output])
            for port, output in zip(self._exported.part.outputs, self._outputs, strict=True)
        }

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None
        self._inputs = self._outputs = []
