"""Scales and zero points as a file of each format holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgepress.records.quantized import TensorScale


def in_onnx(folder: Path) -> dict[str, tuple[Any, Any]]:
    """Return the name of each quantized tensor's integers or input -> (scales, zero points)."""
    graph = onnx.load(folder / "model.onnx").graph
    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    kinds = ("QuantizeLinear", "DequantizeLinear")
    return {
        node.input[0]: (held[node.input[1]], held[node.input[2]])
        for node in graph.node
        if node.op_type in kinds and (node.op_type == kinds[0] or node.input[0] in held)
    }


def is_in(found: Iterable[tuple[Any, Any]], how: TensorScale) -> bool:
    """Say whether exactly these scales and zero points are among those of a file."""
    scale = np.float32(how.scale)
    point = np.array(how.zero_point or [0] * len(scale))
    return any(
        np.array_equal(np.atleast_1d(held).flatten(), scale)
        and np.array_equal(np.broadcast_to(at, point.shape), point)
        for held, at in found
    )


def in_tflite(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the scales and zero points of a TFLite file's tensors."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes(), 0)
    for tensor in model.subgraphs[0].tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            yield tensor.quantization.scale, tensor.quantization.zeroPoint


def in_coreml(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the scales and zero points of a package's operations."""
    from edgepress.runtimes.mil.program import read_program

    program = read_program(folder / "model.mlpackage")
    held = {
        step.outputs[0]: step.constants["val"]
        for step in program.operations
        if step.kind == "const"
    }
    for step in program.operations:
        if step.kind == "quantize":
            (point,) = step.arguments.get("zero_point", (None,))
            # coremltools writes a zero point of -128 as unsigned integers without one.
            shift = 128 if held[step.arguments["output_dtype"][0]] == "uint8" else 0
            at = 0 if point is None else held[point].astype(int)
            yield held[step.arguments["scale"][0]], np.int32(at - shift)
        if step.kind == "constexpr_affine_dequantize":
            yield step.constants["scale"], step.constants["zero_point"]


def in_openvino(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the scales and zero points of (x - zero point) * scale in an OpenVINO file."""
    from edgepress.runtimes.openvino import library

    for step in library().Core().read_model(folder / "model.xml").get_ordered_ops():
        if step.get_type_name() == "Multiply":
            less, scale = (constant(port) for port in step.inputs())
            if less.get_type_name() == "Subtract" and scale.get_type_name() == "Constant":
                yield scale.data.flatten(), constant(less.inputs()[1]).data.flatten()


def constant(port: Any) -> Any:
    """Return the node behind a port, conversions and changes of shape left out."""
    node = port.get_source_output().get_node()
    while node.get_type_name() in ("Convert", "Reshape"):
        node = node.inputs()[0].get_source_output().get_node()
    return node
