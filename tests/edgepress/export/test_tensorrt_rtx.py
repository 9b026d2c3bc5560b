from __future__ import annotations

import json
from typing import Any

import onnx
import pytest

from edgepress.errors import UserError
from edgepress.export import rtx
from edgepress.export.tensorrt_rtx import Params
from edgepress.params import validate
from edgepress.records.record import sha256_file
from edgepress.runtimes.tensorrt_build import CannotBuildError

pytest.importorskip("tensorrt_rtx_bindings")
OPTIONS = {"method": "tensorrt_rtx", "compute_capability": 86}
FP32, INT8 = "rtx-tensorrt_rtx-fp32", "rtx-tensorrt_rtx-int8"


@pytest.mark.parametrize(("target", "bound"), [(FP32, 0.9999), (INT8, 0.98)])
def test_graph_answers_as_torch_when_its_stand_in_runs(
    trained: Any, export: Any, answer: Any, target: str, bound: float
) -> None:
    folder, exported = export(target, OPTIONS)
    assert trained.cosine(answer(folder, exported, "stand_in")) >= bound


def test_engine_comes_with_what_made_it_when_built_without_a_gpu(export: Any) -> None:
    folder, exported = export(INT8, OPTIONS)
    sidecar = json.loads((folder / "model.engine.json").read_text())
    assert sidecar["compute_capability"] == "8.6"
    assert sidecar["tensorrt_rtx"] == exported.tools["tensorrt-rtx-cu13-libs"]
    assert sidecar["engine_sha256"] == sha256_file(folder / exported.part.entry)
    assert sidecar["onnx_sha256"] == sha256_file(folder / "model.onnx")
    assert (folder / exported.part.entry).stat().st_size > 10_000


def test_int8_graph_has_no_zero_point_and_float_biases_for_tensorrt(export: Any) -> None:
    folder, _ = export(INT8, OPTIONS)
    graph = onnx.load(folder / "model.onnx").graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    points = [
        tensors[node.input[2]] for node in graph.node if node.op_type.endswith("quantizeLinear")
    ]
    points += [tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert all(point.dtype.name == "int8" and not point.any() for point in points)
    made = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) > 8
    for layer in layers:
        assert [made[name].op_type for name in layer.input[:2]] == ["DequantizeLinear"] * 2
        assert tensors[layer.input[2]].dtype.name == "float32"


@pytest.mark.parametrize("target", [FP32, INT8])
def test_engine_is_the_same_when_built_twice(export: Any, target: str) -> None:
    folder, _ = export(target, OPTIONS)
    engine, _ = rtx.build((folder / "model.onnx").read_bytes(), 86)
    assert engine == (folder / "model.engine").read_bytes()


def test_engine_changes_when_the_compute_capability_changes(export: Any) -> None:
    folder, _ = export(FP32, OPTIONS)
    data = (folder / "model.onnx").read_bytes()
    assert rtx.build(data, 89)[0] != (folder / "model.engine").read_bytes()


def test_build_names_the_reason_when_the_parser_refuses_the_graph() -> None:
    with pytest.raises(CannotBuildError, match="the graph was refused"):
        rtx.build(b"no model", 86)


def test_params_refuse_when_the_capability_cannot_be_built_for() -> None:
    with pytest.raises(UserError, match=r"export\.tensorrt_rtx\.compute_capability.*got 90"):
        validate(
            Params, {**OPTIONS, "compute_capability": 90}, "params.yaml", "export.tensorrt_rtx"
        )
