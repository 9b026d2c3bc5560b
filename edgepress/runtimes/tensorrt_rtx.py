"""TensorRT-RTX on this machine's GPU; engines are built ahead of time on any x86-64 machine."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.engine import EngineSession
from edgepress.runtimes.onnx_session import OnnxSession
from edgepress.runtimes.session import NotHere, Session, entry
from edgepress.runtimes.tensorrt_build import ONNX, SIDECAR, CannotBuildError, find_gpu

EXPORTER = "tensorrt_rtx"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `tensorrt_rtx`."""

    method: Literal["tensorrt_rtx"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads of the stand-in on the CPU; the GPU has its own."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the engine; NotHere without a GPU, without the package, or where the engine is foreign.

    A changed file is a UserError.
    """
    engine = entry(folder, exported)
    try:
        trt = importlib.import_module("tensorrt_rtx_bindings")
    except ImportError as error:
        raise NotHere(f"TensorRT-RTX cannot be imported: {error}") from None
    try:
        gpu = find_gpu()
    except CannotBuildError as error:
        raise NotHere(str(error)) from None
    sidecar = _read(folder / SIDECAR)
    here = {"tensorrt_rtx": trt.__version__, "compute_capability": gpu.compute_capability}
    for key, value in here.items():
        if sidecar.get(key) != value:
            raise NotHere(f"the engine is for {key} {sidecar.get(key)}, this machine has {value}")
    return EngineSession(trt, engine.read_bytes(), exported)


def stand_in(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Run the ONNX file the engine was built from, in float, Q/DQ nodes as written.

    Its parity is evidence for the graph, not for the engine or the GPU.
    """
    entry(folder, exported)
    return OnnxSession(folder / ONNX, exported, params.threads, as_written=True)


def _read(path: Path) -> dict[str, str]:
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}; export again") from None
    if not isinstance(sidecar, dict):
        raise UserError(f"{path}: expected a mapping; export again")
    return sidecar
