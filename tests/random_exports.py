"""Exports of every task for examples: ONNX graphs of random weights, whose answers differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgepress.records.exported import Port
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.task import Task
from tests import learnt
from tests.exported import export_as

CLASSES = ("cat", 'a "b\\"??/', "größe\t")
COLOURS: dict[str, Any] = {"channels": 3, "mean": (0.5, 0.4, 0.3), "std": (0.25, 0.2, 0.3)}
GREY: dict[str, Any] = {"channels": 1, "mean": (0.45,), "std": (0.25,)}
MULTILABEL = {"method": "multilabel", "labels": "classes", "threshold": 0.5}
DETECTION = {"method": "detection", "strides": [8, 16], "most_objects": 9, "most_answers": 7,
             "least_score": 0.2, "overlap": 0.3, "sure": 0.7}  # fmt: skip
SSD = {"method": "default_boxes", "ratios": [2, 3], "least": 0.2, "most": 0.8}
KEYPOINTS = {"method": "keypoints", "points": ["nose", 'tail "tip"', "öhr"], "swaps": [],
             "sigmas": 0.05, "tolerance": 0.1, "sure": 0.95, "stride": 4, "blur": 2}  # fmt: skip
SMALL: dict[str, Any] = {"height": 32, "width": 48}


LAST: dict[str, tuple[str, dict[str, Any]]] = {
    "boxes_queries": ("Sigmoid", {}),
    "boxes": ("Mul", {"pixels": np.float32(16)}),
    "scores": ("Sigmoid", {}),
    "category": ("Clip", {"least": np.float32(-1), "most": np.float32(len(CLASSES) - 0.1)}),
}
"""The last operator of an output by its name, with its other inputs."""
Graph = tuple[list[NodeProto], dict[str, np.ndarray[Any, Any]]]


class Case(NamedTuple):
    entry: dict[str, Any]
    spec: InputSpec
    decoded: bool = False

    def outputs(self, task: Task) -> tuple[TensorSpec, ...]:
        """Return what the graph gives."""
        ending = task.ending(self.spec) if self.decoded else None
        return ending.outputs if ending else task.answers.outputs(self.spec)


CASES = {
    "classification": Case(
        {"method": "classification"},
        InputSpec(height=56, width=72, resize="bilinear", fit={"crop": 0.875}, **COLOURS),
    ),
    "multilabel": Case(
        {**MULTILABEL, "focus_positive": 0, "focus_negative": 0, "margin": 0},
        InputSpec(height=40, width=33, resize="bicubic", fit="letterbox", **GREY),
    ),
    "segmentation": Case(
        {"method": "segmentation", "ignore_index": None, "argmax": False},
        InputSpec(height=64, width=48, resize="nearest", fit="letterbox", **COLOURS),
    ),
    "argmax": Case(
        {"method": "segmentation", "ignore_index": None, "argmax": True},
        InputSpec(height=31, width=60, resize="bicubic", **GREY),
    ),
    "distances": Case(DETECTION, InputSpec(fit="letterbox", **SMALL, **COLOURS)),
    "default_boxes": Case({**DETECTION, "coding": SSD}, InputSpec(**SMALL, **COLOURS)),
    "one_map": Case(
        {**DETECTION, "strides": [16], "coding": {**SSD, "ratios": []}},
        InputSpec(**SMALL, **COLOURS),
    ),
    "queries": Case(
        {
            **DETECTION,
            "strides": [],
            "overlap": 1.0,
            "coding": {"method": "queries", "queries": 30},
        },
        InputSpec(fit="letterbox", **SMALL, **GREY),
    ),
    "decoded": Case(DETECTION, InputSpec(fit="letterbox", **SMALL, **COLOURS), decoded=True),
    "heatmap": Case(
        {**KEYPOINTS, "form": "heatmap"}, InputSpec(fit="letterbox", **SMALL, **COLOURS)
    ),
    "boxed": Case(
        {**KEYPOINTS, "form": "heatmap", "inside": {"margin": 0.25}}, InputSpec(**SMALL, **COLOURS)
    ),
    "simcc": Case({**KEYPOINTS, "form": "simcc", "stride": 0.5}, InputSpec(**SMALL, **GREY)),
}


def exported(case: Case, folder: Path) -> Path:
    """Write a network of random weights for a case."""
    task = Task.open(case.entry, CLASSES, "test")
    outputs = case.outputs(task)
    if task.name in ("classification", "multilabel", "segmentation"):
        nodes, weights = _one_answer(task, case.spec)
    else:
        nodes, weights = _places(outputs, case.spec)
    kinds = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}
    values = [
        [helper.make_tensor_value_info(each.name, kinds[each.dtype], each.shape) for each in side]
        for side in (case.spec.tensors, outputs)
    ]
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "random", *values, held)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    subject = export_as(model, folder, learnt.KEY, (task, case.spec))
    ports = tuple(Port(tensor=each, stored=each.name, layout=each.layout) for each in outputs)
    parts = (subject.exported.part.model_copy(update={"outputs": ports}),)
    subject.exported.model_copy(update={"parts": parts}).write(folder)
    return subject.folder


def _one_answer(task: Task, spec: InputSpec) -> Graph:
    """Return a convolution, averaged where the task has one answer a picture."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 2, (len(CLASSES), spec.channels, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "w"], ["maps"], pads=[1] * 4)]
    if task.entry.get("argmax"):
        nodes.append(helper.make_node("ArgMax", ["maps"], ["most"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["most"], ["mask"], to=TensorProto.INT32))
    elif task.name == "segmentation":
        nodes.append(helper.make_node("Identity", ["maps"], ["logits"]))
    else:
        nodes.append(helper.make_node("GlobalAveragePool", ["maps"], ["means"]))
        nodes.append(helper.make_node("Flatten", ["means"], ["logits"]))
    return nodes, {"w": weights}


def _places(outputs: tuple[TensorSpec, ...], spec: InputSpec) -> Graph:
    """Return for each output a layer of its own over the whole picture; boxes differ less."""
    rng, pixels = np.random.default_rng(4), spec.channels * spec.height * spec.width
    nodes, weights = [helper.make_node("Flatten", ["image"], ["flat"])], {}
    for each in outputs:
        if each.name == "count":
            nodes.append(helper.make_node("Greater", ["category_found", "none"], ["there"]))
            nodes.append(helper.make_node("Cast", ["there"], ["ones"], to=TensorProto.INT32))
            nodes.append(helper.make_node("ReduceSum", ["ones", "axis"], ["count"], keepdims=0))
            weights |= {"none": np.float32(-1), "axis": np.array([1], np.int64)}
            continue
        layer, shape, found = f"{each.name}_w", f"{each.name}_shape", f"{each.name}_found"
        spread = 0.5 if each.name.startswith("boxes_") else 2.0
        size = (pixels, int(np.prod(each.shape)))
        weights[layer] = rng.normal(0, spread / pixels**0.5, size).astype(np.float32)
        weights[shape] = np.array(each.shape, np.int64)
        nodes.append(helper.make_node("MatMul", ["flat", layer], [f"{found}_flat"]))
        nodes.append(helper.make_node("Reshape", [f"{found}_flat", shape], [f"{found}_any"]))
        last, options = LAST.get(each.name, ("Identity", {}))
        nodes.append(helper.make_node(last, [f"{found}_any", *options], [found]))
        weights |= options
        kind = getattr(TensorProto, {"float32": "FLOAT"}.get(each.dtype, each.dtype.upper()))
        nodes.append(helper.make_node("Cast", [found], [each.name], to=kind))
    return nodes, weights
