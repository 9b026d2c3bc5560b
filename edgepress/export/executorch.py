"""ExecuTorch: one .pte file lowered to XNNPACK, float32 or INT8 by PT2E quantization.

What XNNPACK does not take runs in ExecuTorch's portable kernels, correct but slow; the notes count
those operations. Measured on a ResNet-8 for digits: cosine to the float logits 1.0000, INT8
0.9998. The same network gives the same bytes in every process.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.quiet import quiet

if TYPE_CHECKING:
    import torch

_FILE: Final = "model.pte"
_CALIBRATION_BATCH: Final = 16
_HOLDS: Final = Toolchain("ExecuTorch", weights_alone=False, floats_between=False)


class Params(Config):
    """Parameters of `executorch`."""

    method: Literal["executorch"]
    """Name of the method."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.pte: `forward` takes and gives tensors in order."""
    notes: tuple[str, ...] = ()
    from edgepress.export.bounded import Bounded

    model: torch.nn.Module = Bounded(job.model)
    with quiet("executorch"):
        if job.mixed:
            from edgepress.export.given_scales import honoured

            graph = honoured(job, _HOLDS)
            model, notes = graph.module, graph.notes
        edge = _lower(job, model)
        (job.out / _FILE).write_bytes(edge.to_executorch().buffer)
    written = Written(
        format="executorch",
        entry=_FILE,
        inputs=ports(job.inputs, [str(i) for i in range(len(job.inputs))]),
        outputs=ports(job.outputs, [str(i) for i in range(len(job.outputs))]),
        tools=versions("torch", "executorch", "torchao"),
        notes=(*notes, *_notes(edge.exported_program())),
    )
    return finish(job, written)


def _lower(job: ExportJob, model: torch.nn.Module) -> Any:
    """Return the network as an EdgeProgramManager with XNNPACK's parts cut out."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    if job.int8:
        model = _quantize(model, job.calibration_images(), job.quantized.recipe.per_channel)
    program = torch.export.export(model, job.zeros(), strict=False)
    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])


def _quantize(
    model: torch.nn.Module, images: CalibrationImages, per_channel: bool
) -> torch.nn.Module:
    """Return the network with quantize and dequantize steps, ranges from images."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    sample = torch.from_numpy(np.repeat(next(iter(images)), 2, axis=0))
    items = {0: torch.export.Dim.AUTO}
    program = torch.export.export(model, (sample,), dynamic_shapes=((items,),), strict=False)
    scheme = get_symmetric_quantization_config(is_per_channel=per_channel)
    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(scheme))
    with torch.no_grad():
        for batch in images.batches(_CALIBRATION_BATCH):
            prepared(torch.from_numpy(batch))
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
