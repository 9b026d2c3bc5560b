"""ExecuTorch: one .pte file lowered to XNNPACK, float32 or INT8 by PT2E quantization.

What XNNPACK does not take runs in ExecuTorch's portable kernels, correct but slow; the notes count
those operations. Measured on a ResNet-8 for digits: cosine to the float logits 1.0000, INT8
0.9998. The same network gives the same bytes in every process.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edgepress.export.job import ExportJob, finish, versions
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.quiet import quiet

if TYPE_CHECKING:
    import torch

_FILE: Final = "model.pte"
_CALIBRATION_BATCH: Final = 16


class Params(Config):
    """Parameters of `executorch`."""

    method: Literal["executorch"]
    """Name of the method."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.pte: `forward` takes float32 [1, C, H, W], gives logits, float32 [1, classes]."""
    with quiet("executorch"):
        edge = _lower(job)
        (job.out / _FILE).write_bytes(edge.to_executorch().buffer)
    return finish(
        job,
        format="executorch",
        entry=_FILE,
        layout="NCHW",
        input_name="0",
        output_name="0",
        tools=versions("torch", "executorch", "torchao"),
        notes=_notes(edge.exported_program()),
    )


def _lower(job: ExportJob) -> Any:
    """Return the network as an EdgeProgramManager with XNNPACK's parts cut out."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    model = job.model
    if job.int8:
        model = _quantize(model, job.calibration_images(), job.quantized.recipe.per_channel)
    program = torch.export.export(model, (torch.zeros(job.bundle.input.shape),), strict=False)
    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])


def _quantize(
    model: torch.nn.Module, images: npt.NDArray[np.float32], per_channel: bool
) -> torch.nn.Module:
    """Return the network with quantize and dequantize steps, ranges from float32 [N, C, H, W]."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    sample = torch.from_numpy(images[:2])
    batch = {0: torch.export.Dim.AUTO}
    program = torch.export.export(model, (sample,), dynamic_shapes=(batch,), strict=False)
    scheme = get_symmetric_quantization_config(is_per_channel=per_channel)
    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(scheme))
    with torch.no_grad():
        for start in range(0, len(images), _CALIBRATION_BATCH):
            prepared(torch.from_numpy(images[start : start + _CALIBRATION_BATCH]))
    converted: torch.nn.Module = convert_pt2e(prepared)
    return converted


def _notes(program: Any) -> tuple[str, ...]:
    """Count the operations left outside XNNPACK, by name."""
    left = Counter(
        str(node.target._schema.name)
        for node in program.graph.nodes
        if node.op == "call_function" and hasattr(node.target, "_schema")
        if "delegate" not in str(node.target)
    )
    if not left:
        return ("all operations run in XNNPACK",)
    listed = ", ".join(f"{count} x {name}" for name, count in sorted(left.items()))
    return (f"{left.total()} outside XNNPACK: {listed}",)
