"""Every operator that the backbone `onnx` knows answers as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from edgepress.backbones._onnx.table import OPERATORS
from edgepress.backbones.onnx import Params, build
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=6, width=8, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
SHAPE = SPEC.shape
RANDOM = np.random.default_rng(0)
CASE = tuple[str, int, dict[str, Any], dict[int, Any]]


def f(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def i(*values: int) -> Any:
    return np.array(values, np.int64)


POSITIVE = np.abs(f(3, 1, 1)) + 1
ROI = np.array([], np.float32)
CASES: list[CASE] = [
    *[(name, 18, {}, {}) for name in (
        "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish",
        "LeakyRelu", "Mish", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Sin", "Softplus",
        "Softsign", "Tanh", "GlobalAveragePool", "GlobalMaxPool", "Softmax", "LogSoftmax",
        "ReduceMax", "ReduceMin", "Identity", "Neg", "Flatten", "Transpose",
    )],
    *[(name, 18, {}, {1: POSITIVE}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")],
    *[(name, 18, {}, {0: POSITIVE}) for name in ("Log", "Sqrt")],
    ("Mean", 13, {}, {1: f(1, 8)}),
    ("Pow", 18, {}, {1: np.array(2, np.float32)}),
    ("Gelu", 20, {}, {}), ("Gelu", 20, {"approximate": "tanh"}, {}), ("Swish", 24, {}, {}),
    ("HardSigmoid", 18, {"alpha": 1 / 6, "beta": 0.5}, {}), ("Elu", 7, {"alpha": 0.3}, {}),
    ("PRelu", 16, {}, {1: f(3, 1, 1)}),
    ("Clip", 7, {"min": -0.5, "max": 0.7}, {}), ("Clip", 13, {}, {1: np.array(0, np.float32)}),
    ("Clip", 13, {}, {1: np.array(0, np.float32), 2: np.array(6, np.float32)}),
    ("Softmax", 11, {"axis": 1}, {}), ("LogSoftmax", 13, {"axis": 1}, {}),
    ("ReduceMean", 13, {"axes": [2, 3], "keepdims": 0}, {}),
    *[(name, 18, {}, {1: i(-1, 1)}) for name in (
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceProd",
        "ReduceSumSquare",
    )],
    ("AveragePool", 19, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {}),
    ("AveragePool", 11, {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, {}),
    ("AveragePool", 11, {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, {}),
    ("AveragePool", 11, {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}, {}),
    ("MaxPool", 12, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, {}),
    ("MaxPool", 12, {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "strides": [2, 2]}, {}),
    ("MaxPool", 12, {"kernel_shape": [3, 3], "ceil_mode": 1, "strides": [2, 2]}, {}),
    ("MaxPool", 12, {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}, {}),
    ("Conv", 11, {"pads": [1, 1, 1, 1], "strides": [2, 1]}, {1: f(4, 3, 3, 3), 2: f(4)}),
    ("Conv", 11, {"group": 3, "dilations": [2, 2]}, {1: f(6, 1, 2, 2)}),
    ("Conv", 11, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {1: f(4, 3, 3, 3)}),
    ("ConvTranspose", 11, {"strides": [2, 2], "pads": [1] * 4}, {1: f(3, 5, 4, 4), 2: f(5)}),
    ("MatMul", 13, {}, {1: f(8, 5)}), ("MatMul", 13, {}, {0: f(1, 1, 4, 6)}),
    ("BatchNormalization", 15, {}, {1: f(3), 2: f(3), 3: f(3), 4: np.abs(f(3)) + 0.5}),
    ("InstanceNormalization", 7, {}, {1: f(3), 2: f(3)}),
    ("GroupNormalization", 21, {"num_groups": 3}, {1: f(3), 2: f(3)}),
    ("LayerNormalization", 17, {"axis": -2}, {1: f(6, 8), 2: f(6, 8)}),
    ("LayerNormalization", 17, {}, {1: f(8)}), ("LRN", 13, {"size": 3, "alpha": 0.5}, {}),
    ("Einsum", 12, {"equation": "nchw,cd->ndhw"}, {1: f(3, 5)}),
    ("Concat", 13, {"axis": -1}, {1: f(1, 3, 6, 2)}),
    ("Split", 13, {"axis": 3}, {1: i(3, 5)}), ("Split", 11, {"axis": 3, "split": [3, 5]}, {}),
    ("Slice", 9, {"starts": [1, -3], "ends": [5, 1000], "axes": [2, 3]}, {}),
    ("Slice", 13, {}, {1: i(0), 2: i(8), 3: i(-1), 4: i(2)}),
    ("Pad", 9, {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "mode": "reflect"}, {}),
    ("Pad", 18, {}, {1: i(1, 2), 2: np.array(0.5, np.float32), 3: i(2)}),
    ("Pad", 18, {"mode": "edge"}, {1: i(0, 0, 1, 1, 0, 0, 2, 2)}),
    ("Reshape", 14, {}, {1: i(0, 3, -1, 4)}), ("Squeeze", 13, {}, {1: i(0)}),
    ("Unsqueeze", 11, {"axes": [1]}, {}), ("Tile", 13, {}, {1: i(1, 1, 2, 1)}),
    ("Expand", 13, {}, {1: i(2, 3, 6, 8)}),
    ("Gather", 13, {"axis": 1}, {1: np.array(-1, np.int64)}),
    ("Gather", 13, {"axis": 3}, {1: i(5, 1, 1, 7).reshape(2, 2)}),
    ("Split", 18, {"axis": 3, "num_outputs": 2}, {}),
    ("DepthToSpace", 13, {"blocksize": 1}, {}), ("SpaceToDepth", 13, {"blocksize": 2}, {}),
    ("Resize", 18, {"mode": "linear"}, {1: ROI, 2: np.array([1, 1, 2, 2], np.float32)}),
    ("Resize", 18, {"mode": "nearest"}, {1: ROI, 2: np.array([1, 1, 3, 2], np.float32)}),
    ("Resize", 18, {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
     {1: ROI, 2: ROI, 3: i(1, 3, 11, 5)}),
    ("Resize", 18, {"mode": "cubic"}, {1: ROI, 2: ROI, 3: i(1, 3, 12, 16)}),
    ("Upsample", 9, {"mode": "nearest"}, {1: np.array([1, 1, 2, 2], np.float32)}),
    ("Where", 16, {}, {0: f(6, 8) > 0, 2: f(1, 8)}),
    ("Cast", 13, {"to": 1}, {}),
    ("Attention", 23, {}, {1: f(1, 3, 5, 8), 2: f(1, 3, 5, 4)}),
]  # fmt: skip


def written(case: CASE, path: Path) -> None:
    """Write a graph of the operator, some of whose inputs are constants, and one step behind it."""
    operator, opset, attributes, constants = case
    names = [
        f"c{at}" if at in constants else ("image" if operator != "Clip" or at == 0 else "")
        for at in range(max([0, *constants]) + 1)
    ]
    if operator in ("Log", "Sqrt"):  # Of numbers that are positive whatever the image.
        names = ["positive"]
    elif "image" not in names:
        names.append("image")
    before = (
        [helper.make_node("Abs", ["image"], ["whole"]),
         helper.make_node("Add", ["whole", "c0"], ["positive"])]
        if names == ["positive"] else []
    )  # fmt: skip
    outputs = ["out0", "out1"] if operator == "Split" else ["out0"]
    node = helper.make_node(operator, names, outputs, **attributes)
    ends = [helper.make_node("Abs", [name], [f"{name}_end"]) for name in outputs]
    graph = helper.make_graph(
        [*before, node, *ends],
        "g",
        [helper.make_tensor_value_info("image", 1, SHAPE)],
        [helper.make_tensor_value_info(f"{name}_end", 1, None) for name in outputs],
        [numpy_helper.from_array(value, f"c{at}") for at, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_operator_answers_as_onnx_runtime(case: CASE, tmp_path: Path) -> None:
    written(case, tmp_path / "m.onnx")
    network = build(SPEC, "outputs", params=Params(method="onnx", path=str(tmp_path / "m.onnx")))
    image = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    assert "as ONNX Runtime's" in network.origin(image).told
    torch.fx.symbolic_trace(network)


def test_every_known_operator_is_among_the_cases() -> None:
    # Gemm and the others are in what test_onnx.py exports.
    assert set(OPERATORS) - {case[0] for case in CASES} == {"Gemm"}
