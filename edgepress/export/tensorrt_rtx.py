"""TensorRT-RTX: an engine built ahead of time for one GPU generation, no GPU needed."""

from __future__ import annotations

import json
from typing import Literal

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
from edgepress.runtimes.tensorrt_build import ENGINE, ONNX, SIDECAR, CannotBuildError

_OPSET = 18


class Params(Config):
    """Parameters of `tensorrt_rtx`."""

    method: Literal["tensorrt_rtx"]
    """Name of the method."""
    compute_capability: rtx.Capability
    """Of the GPU that will run it, without the point: 86 is Ampere's RTX 30 series."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write the engine, a sidecar (what made it, for what GPU) and the ONNX file it is from."""
    tools = versions("torch", "onnx", "onnxscript", "onnxruntime", *rtx.PACKAGES)
    write_graph(job, job.out / ONNX, _OPSET, rtx.TENSORRT)
    try:
        engine, version = rtx.build((job.out / ONNX).read_bytes(), params.compute_capability)
    except CannotBuildError as error:
        raise NotExportedError(f"TensorRT-RTX: {error}") from None
    (job.out / ENGINE).write_bytes(engine)
    sidecar = {
        "tensorrt_rtx": version,
        "compute_capability": rtx.dotted(params.compute_capability),
        "precision": job.quantized.precision,
        "onnx_sha256": sha256_file(job.out / ONNX),
        "engine_sha256": sha256_file(job.out / ENGINE),
    }
    (job.out / SIDECAR).write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
    only = (
        f"runs with TensorRT-RTX {version} on GPUs of compute capability "
        f"{sidecar['compute_capability']} only"
    )
    written = Written(
        format="tensorrt_rtx",
        entry=ENGINE,
        inputs=ports(job.inputs),
        outputs=ports(job.outputs),
        tools=tools,
        notes=(only, *note(job)),
    )
    return finish(job, written)
