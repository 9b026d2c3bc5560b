"""ExecuTorch: one .pte file lowered to XNNPACK, float32 or INT8 by PT2E quantization.

What XNNPACK does not take runs in ExecuTorch's portable kernels, correct but slow; the notes count
those operations. Measured on a ResNet-8 for digits: cosine to the float logits 1.0000, INT8
0.9998. The same network gives the same bytes in every process.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from edgepress.export.calibration_images import OBSERVED
from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
from edgepress.export.float_layers import float_paths, note, refuse_missing, with_followers
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.quiet import quiet

if TYPE_CHECKING:
    import torch
    from torch import fx

_FILE: Final = "model.pte"
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
        notes=(*notes, *note(job), *_notes(edge.exported_program())),
    )
    return finish(job, written)


def _lower(job: ExportJob, model: torch.nn.Module) -> Any:
    """Return the network as an EdgeProgramManager with XNNPACK's parts cut out."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    if job.int8:
        model = _quantize(job, model)
    program = torch.export.export(model, job.zeros(), strict=False)
    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])


def _quantize(job: ExportJob, model: torch.nn.Module) -> torch.nn.Module:
    """Return the network with quantize and dequantize steps, ranges from images."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    images = job.calibration_images()
    alone = any(getattr(part, "one_image", False) for part in model.modules())
    sample = torch.from_numpy(np.repeat(next(iter(images)), 1 if alone else 2, axis=0))
    items = None if alone else {0: torch.export.Dim.AUTO}
    program = torch.export.export(model, (sample,), dynamic_shapes=((items,),), strict=False)
    scheme = get_symmetric_quantization_config(is_per_channel=job.quantized.recipe.per_channel)
    quantizer = XNNPACKQuantizer().set_global(scheme)
    floats = _Floats({name: f"network.{path}" for name, path in float_paths(job).items()})
    quantizer.set_filter_function(lambda node: node not in floats.of(node.graph))
    prepared = prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        for batch in images.batches(1 if alone else OBSERVED):
            prepared(torch.from_numpy(batch))
    converted: torch.nn.Module = convert_pt2e(prepared)
    return converted


class _Floats:
    """The steps of a torch graph that stay in float, looked for once."""

    def __init__(self, layers: dict[str, str]) -> None:
        self._layers = layers
        self._graph: fx.Graph | None = None
        self._steps: set[fx.Node] = set()

    def of(self, graph: fx.Graph) -> set[fx.Node]:
        """Return the steps of the layers and all that follow them."""
        if graph is not self._graph:
            owners = {node: self._owners(node) for node in graph.nodes}
            held = set().union(*(names for node, names in owners.items() if _has_weight(node)))
            refuse_missing(_HOLDS, self._layers, held)
            first = [node for node, names in owners.items() if names]
            self._graph, self._steps = graph, with_followers(first, lambda node: node.users)
        return self._steps

    def _owners(self, node: fx.Node) -> set[str]:
        places = [str(path) for path, _ in node.meta.get("nn_module_stack", {}).values()]
        return {name for name, path in self._layers.items() if path in places}


def _has_weight(node: fx.Node) -> bool:
    taken = (each.op for each in node.all_input_nodes)
    return node.op == "call_function" and "get_attr" in taken


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
