"""The network as one ONNX file, float or with Q/DQ nodes, for every target that starts from ONNX.

PyTorch's two exporters give the same graph for our networks. The TorchScript one is quicker (0.1 s
against 2 s, and 6 s less to import) but deprecated, so this uses the one that stays. Its file
carries stack traces with this machine's paths and weighs a quarter more for them: they are removed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.ending import append
from edgepress.export.export_job import ExportJob
from edgepress.export.float_nodes import NO_FLOATS, FloatNodes, float_nodes, name_of, still_float
from edgepress.export.narrow_onnx import narrow
from edgepress.export.toolchain import Toolchain
from edgepress.tasks.task import Ending

_WEIGHTED = ["Conv", "Gemm", "MatMul"]


@dataclass(frozen=True)
class Scheme:
    """How Q/DQ nodes quantize; weights are always signed, symmetric 8 bit."""

    signed_activations: bool
    """int8 rather than uint8."""
    symmetric_activations: bool
    """Zero point 0."""
    reduce_range: bool
    """Weights in 7 bit, so that sums of two products fit 16 bit on CPUs without VNNI."""
    int32_bias: bool
    """Biases as int32 with the scale of input times weight, rather than float."""
    only_weighted_inputs: bool
    """Q/DQ before layers with weights and nowhere else, rather than around every layer."""
    holds: Toolchain
    """What of a recipe for single tensors the file's reader takes."""


def write_graph(
    job: ExportJob, path: Path, opset: int, scheme: Scheme, ending: Ending | None = None
) -> None:
    """Write the job's network to `path`: float32, or with Q/DQ nodes as its recipe has them.

    An ending stands behind it, in float.
    """
    import onnx

    traced = trace(job, opset, scheme.holds)
    model = traced.model
    if job.int8:
        if _attends(model):
            scheme = replace(scheme, only_weighted_inputs=True)
        per_channel = job.quantized.recipe.per_channel
        model = quantize(traced, job.calibration_images(), scheme, per_channel)
    if ending is not None:
        append(model, ending, opset)
        _strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class Traced:
    """A network as ONNX."""

    model: Any
    """onnx.ModelProto: static batch of 1, tensors by name."""
    floats: FloatNodes


def trace(job: ExportJob, opset: int, holds: Toolchain) -> Traced:
    """Return the network as ONNX.

    It is float, but where the recipe speaks of single tensors: their Q/DQ nodes are in it.
    """
    import torch

    from edgepress.export.given_scales import honoured

    model = honoured(job, holds).module if job.mixed else job.model
    # Fused kernels of attention take a mask of strides that no decomposition can view:
    # https://github.com/pytorch/pytorch/issues/141107
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        program = torch.onnx.export(
            model,
            job.zeros(),
            input_names=[spec.name for spec in job.inputs],
            output_names=[spec.name for spec in job.outputs],
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    proto = program.model_proto
    if job.mixed:
        narrow(proto, opset)
    floats = float_nodes(job, proto, holds) if job.int8 else NO_FLOATS
    _strip(proto)
    return Traced(proto, floats)


def _attends(model: Any) -> bool:
    """Say whether a softmax weighs values, as attention does: a matrix product takes its output.

    8 bits of what comes between a transformer's layers cost more than they save: a small ViT had a
    cosine of 0.35 to its float logits with them and 0.95 without.
    """
    weighed = {node.output[0] for node in model.graph.node if node.op_type == "Softmax"}
    return any(node.op_type == "MatMul" and weighed & set(node.input) for node in model.graph.node)


def quantize(traced: Traced, images: CalibrationImages, scheme: Scheme, per_channel: bool) -> Any:
    """Return an onnx.ModelProto with Q/DQ nodes, ranges taken from images."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, quantized = (Path(folder, f"{step}.onnx") for step in ("f", "p", "q"))
        source.write_bytes(traced.model.SerializeToString())
        # Shapes are static: ONNX's own inference finds them all, and the symbolic one costs 9 s.
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Reader(images, traced.model.graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            reduce_range=scheme.reduce_range,
            activation_type=QuantType.QInt8 if scheme.signed_activations else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=_WEIGHTED if scheme.only_weighted_inputs else None,
            nodes_to_exclude=still_float(onnx.load(prepared), traced.floats, scheme.holds),
            extra_options={
                "OpTypesToExcludeOutputQuantization": (
                    _WEIGHTED if scheme.only_weighted_inputs else []
                ),
                "ActivationSymmetric": scheme.symmetric_activations,
                "WeightSymmetric": True,
                "QuantizeBias": scheme.int32_bias,
                # Each image's ranges are joined with the others at once, not kept to the end.
                "CalibStridedMinMax": 1,
            },
        )
        result = onnx.load(quantized)
    _strip(result)
    return result


class _Reader:
    """The calibration images one by one, in the shape ONNX Runtime's calibrator asks for."""

    def __init__(self, images: CalibrationImages, name: str) -> None:
        self._count = len(images)
        self._images = iter(images)
        self._left = 0
        self._name = name

    def __len__(self) -> int:
        return self._count

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give out the next few images; the calibrator asks for all of them in order."""
        self._left = end_index - start_index

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        if self._left == 0:
            return None
        self._left -= 1
        return {self._name: next(self._images)}


def _strip(model: Any) -> None:
    """Remove what only describes, and number the nodes: same network, same bytes, wherever made."""
    graph = model.graph
    del graph.value_info[:]
    used = {node.domain for node in graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    _strip_texts((model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer))
    for index, node in enumerate(graph.node):
        node.name = name_of(index, node)


def _strip_texts(parts: Iterable[Any]) -> None:
    for part in parts:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
