"""ONNX Runtime on this machine's CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.onnx_session import OnnxSession
from edgepress.runtimes.session import Session, entry

EXPORTER = "onnx"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `onnxruntime`."""

    method: Literal["onnxruntime"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the file in `folder`; one that is missing, changed or no ONNX file is a UserError."""
    return OnnxSession(entry(folder, exported), exported, params.threads)
