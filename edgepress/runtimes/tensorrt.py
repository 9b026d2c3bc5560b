"""TensorRT 10.x or 11.x on this machine's GPU, for example a Jetson; engines are built on it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.engine import EngineSession
from edgepress.runtimes.onnx_session import OnnxSession
from edgepress.runtimes.session import NotHere, Session, entry
from edgepress.runtimes.tensorrt_build import CannotBuildError, find_gpu, refuse_foreign

EXPORTER = "tensorrt"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `tensorrt`."""

    method: Literal["tensorrt"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads of the stand-in on the CPU; the GPU has its own."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the engine that build.py made on this machine; NotHere where there is none that fits.

    A changed file of the bundle is a UserError.
    """
    entry(folder, exported)
    try:
        gpu = find_gpu()
        trt = importlib.import_module("tensorrt")
        engine = refuse_foreign(folder, trt.__version__, gpu)
    except CannotBuildError as error:
        raise NotHere(str(error)) from None
    except ImportError as error:
        raise NotHere(f"TensorRT cannot be imported: {error}") from None
    return EngineSession(trt, engine, exported)


def stand_in(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Run the bundle's ONNX file in float, Q/DQ nodes as written.

    Its parity is evidence for the graph, not for the engine or the GPU.
    """
    return OnnxSession(entry(folder, exported), exported, params.threads, as_written=True)
