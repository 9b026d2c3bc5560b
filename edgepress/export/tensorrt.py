"""TensorRT: a bundle to build on the device: ONNX with the precision in it, a recipe, a script.

Engines are tied to GPU and version, and full TensorRT needs both to build. TensorRT 11 has no
precision flags and no calibrators any more, so the Q/DQ nodes of the graph say it for 10.x too.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.export import rtx
from edgepress.export.export_job import (
    ExportJob,
    NotExportedError,
    Written,
    finish,
    ports,
    versions,
)
from edgepress.export.float_layers import note
from edgepress.export.graph import write_graph
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.records.record import sha256_file
from edgepress.runtimes import tensorrt_build
from edgepress.runtimes.tensorrt_build import ONNX, RECIPE, CannotBuildError

_SCRIPT = "build.py"
_OPSET = 18
_CHECKED_FOR = 86


class Params(Config):
    """Parameters of `tensorrt`."""

    method: Literal["tensorrt"]
    """Name of the method."""
    versions: tuple[Literal["10", "11"], ...] = Field(min_length=1)
    """Major versions the device may build with; Jetsons are on 10."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.onnx, build.json and build.py; the device makes the engine from them."""
    tools = versions("torch", "onnx", "onnxscript", "onnxruntime")
    path = job.out / ONNX
    write_graph(job, path, _OPSET, rtx.TENSORRT)
    tried = _check(job, path)
    recipe = {
        "versions": list(params.versions),
        "precision": job.quantized.precision,
        "onnx_sha256": sha256_file(path),
        "inputs": [spec.model_dump() for spec in job.inputs],
        "outputs": [spec.model_dump() for spec in job.outputs],
    }
    (job.out / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(Path(tensorrt_build.__file__), job.out / _SCRIPT)
    written = Written(
        format="tensorrt",
        entry=ONNX,
        inputs=ports(job.inputs),
        outputs=ports(job.outputs),
        tools=tools,
        notes=("copy the folder to the device and run python3 build.py there", tried, *note(job)),
    )
    return finish(job, written)


def _check(job: ExportJob, path: Path) -> str:
    """Build the graph for a near relative of the device where that is possible, and say so."""
    if not rtx.installed():
        return "the graph was not tried: TensorRT-RTX, which can be asked without a GPU, is missing"
    try:
        _, version = rtx.build(path.read_bytes(), _CHECKED_FOR)
    except CannotBuildError as error:
        raise NotExportedError(f"TensorRT-RTX: {error}") from None
    return f"TensorRT-RTX {version} parsed and built the graph for {rtx.dotted(_CHECKED_FOR)}"
