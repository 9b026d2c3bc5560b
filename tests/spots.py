"""Pictures with four coloured spots, nose, ears and tail, and a small network that finds them.

Two convolutions and a pointwise one by the task's own loss, in a second or two; its export is ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from edgepress.data.labels import Seen
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task

SIDE, STRIDE = 32, 2
SPEC = InputSpec(height=SIDE, width=SIDE, channels=3, mean=(0.3, 0.3, 0.5), std=(0.35, 0.3, 0.4))
ENTRY: dict[str, Any] = {
    "method": "keypoints",
    "points": ["nose", "left", "right", "tail"],
    "swaps": [["left", "right"]],
    "sigmas": 0.05,
    "tolerance": 0.15,
    "sure": 0.3,
    "form": "heatmap",
    "stride": STRIDE,
    "blur": 1.0,
}
TASK = Task.open(ENTRY, ("mouse",), "test")
ROWS = Task.open({**ENTRY, "form": "simcc"}, ("mouse",), "test")
COLOURS = np.array([[255, 40, 40], [40, 255, 40], [40, 40, 255], [255, 255, 40]])
Pixels = np.ndarray
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Spots:
    """Pictures uint8 [N, H, W, C] with four spots each, and where those are."""

    pixels: Pixels
    truth: Arrays

    def inputs(self, spec: InputSpec = SPEC) -> np.ndarray:
        scaled = (self.pixels / 255.0 - np.array(spec.mean)) / np.array(spec.std)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def no_file(path: str) -> bytes:
    raise AssertionError(path)


def spots(count: int, seed: int) -> Spots:
    """Draw poses: a nose, two ears right and left behind it, and a tail, turned at random."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    pose = np.array([[9.0, 0.0], [4.0, -5.0], [4.0, 5.0], [-9.0, 0.0]])
    pictures, truths = [], []
    for _ in range(count):
        turn = rng.uniform(0, 2 * np.pi)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        places = pose @ matrix.T + rng.uniform(13, SIDE - 13, 2)
        picture = rng.integers(0, 70, (SIDE, SIDE, 3)).astype(np.float64)
        for place, colour in zip(places, COLOURS, strict=True):
            share = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / 4)[..., None]
            picture = picture * (1 - share) + colour * share
        pictures.append(picture.round().astype(np.uint8))
        points = [float(value) for place in places for value in (*place, 2)]
        thing = {"category": 0, "box": None, "rings": None, "points": points, "area": None}
        label = {"width": None, "height": None, "relative": False}
        objects = [{**thing, "crowd": False, "ignore": False}]
        kept = TASK.labels.admit({**label, "objects": objects}, Seen(SIDE, SIDE), no_file)
        truths.append(TASK.labels.truth(kept.label, SPEC, no_file))
    truth = {name: np.concatenate([each[name] for each in truths]) for name in truths[0]}
    return Spots(np.stack(pictures), truth)


def learnt(train: Spots, earlier: int, steps: int) -> tuple[Weights, Weights]:
    """Weights of two convolutions and a pointwise one by the task's loss, earlier and at last."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.Conv2d(12, 16, 3, 1, 1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(16, 4, 1))
    nn.init.constant_(network[4].bias, -4.0)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    inputs = torch.from_numpy(train.inputs())
    truth = {name: torch.from_numpy(values) for name, values in train.truth.items()}
    kept = []
    for step in range(steps):
        rows = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(step))[:48]
        batch = {name: values[rows] for name, values in truth.items()}
        loss = TASK.learner.loss({"heatmaps": network(inputs[rows])}, batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (earlier, steps - 1):
            named = zip("abc", (network[0], network[2], network[4]), strict=True)
            kept.append(
                {
                    f"{name}_{part}": getattr(layer, part).detach().numpy().copy()
                    for name, layer in named
                    for part in ("weight", "bias")
                }
            )
    return kept[0], kept[1]


def graph(weights: Weights, *more: Any, task: Task = TASK, **held: np.ndarray) -> ModelProto:
    """Return the network as ONNX; nodes of `more` lead from `maps` to the task's outputs."""
    nodes = [
        helper.make_node(
            "Conv", ["image", "a_weight", "a_bias"], ["1"], strides=[2, 2], pads=[2] * 4
        ),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("Conv", ["2", "b_weight", "b_bias"], ["3"], pads=[1] * 4),
        helper.make_node("Relu", ["3"], ["4"]),
        helper.make_node("Conv", ["4", "c_weight", "c_bias"], ["maps"]),
        *(more or [helper.make_node("Identity", ["maps"], ["heatmaps"])]),
    ]
    for number, each in enumerate(nodes):
        each.name = f"node{number}"
    values = [numpy_helper.from_array(v, k) for k, v in {**weights, **held}.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(SPEC.shape))
    outputs = [
        helper.make_tensor_value_info(each.name, TensorProto.FLOAT, list(each.shape))
        for each in task.answers.outputs(SPEC)
    ]
    made = helper.make_graph(nodes, "points", [image], outputs, values)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
