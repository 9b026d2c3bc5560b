"""Pictures of coloured shapes for tasks with one answer a picture or a pixel, and small networks.

One trunk serves classification, multi-label and segmentation; the last layer and the label differ.
Segmentation's answers are made at half the size and enlarged, as those of most networks are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from edgepress.data.labels import Seen
from edgepress.data.preprocess import decode, normalise
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from tests.shapes import BATCH, COLOURS, Weights, descended, png

SIDE = 32
SHAPES = ("disc", "square", "diamond")
SPEC = InputSpec(
    height=SIDE,
    width=SIDE,
    channels=3,
    mean=(0.35, 0.3, 0.4),
    std=(0.25, 0.2, 0.3),
    fit="letterbox",
)
ENTRIES: dict[str, dict[str, Any]] = {
    "classification": {"method": "classification"},
    "multilabel": {
        "method": "multilabel",
        "labels": "classes",
        "threshold": 0.5,
        "focus_positive": 0.0,
        "focus_negative": 0.0,
        "margin": 0.0,
    },
    "segmentation": {"method": "segmentation", "ignore_index": None, "argmax": False},
}
TASKS = {
    word: Task.open(entry, (("ground", *SHAPES) if word == "segmentation" else SHAPES), "test")
    for word, entry in ENTRIES.items()
}
LAYERS = {"a": (3, 8, 5, 2), "b": (8, 16, 3, 1), "c": (16, 16, 3, 1)}
"""Name: (channels in, channels out, kernel, stride); a ReLU follows each."""
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scenes:
    """Pictures uint8 [H, W, 3] of several sizes, and what is true of them."""

    pictures: tuple[Picture, ...]
    truth: Arrays

    def inputs(self, spec: InputSpec = SPEC) -> npt.NDArray[np.float32]:
        """Return the pictures as a device with this record prepares them."""
        return normalise(np.stack([decode(png(each), spec) for each in self.pictures]), spec)


def scenes(word: str, count: int, seed: int) -> Scenes:
    """Draw pictures of a task: one shape each for classification, none to three for the others."""
    rng = np.random.default_rng(seed)
    pictures, truths = [], []
    for _ in range(count):
        most = 1 if word == "classification" else int(rng.integers(0, 4))
        picture, mask = _drawn(rng, most)
        pictures.append(picture)
        truths.append(_truth(TASKS[word], mask))
    truth = {name: np.concatenate([each[name] for each in truths]) for name in truths[0]}
    return Scenes(tuple(pictures), truth)


def _truth(task: Task, mask: Picture) -> Arrays:
    """Return what the task's own rules make of a label."""
    present = [int(value) - 1 for value in np.unique(mask) if value]
    label: Any = {
        "classification": present[0] if present else 0,
        "multilabel": present,
        "segmentation": {"path": "mask.png", "above_zero": False},
    }[task.entry["method"]]
    height, width = mask.shape

    def read(path: str) -> bytes:
        assert path == "mask.png"
        return png(mask)

    admitted = task.labels.admit(label, Seen(width, height), read)
    return task.labels.truth(admitted.label, SPEC, read)


def _drawn(rng: np.random.Generator, count: int) -> tuple[Picture, Picture]:
    """Return a wide picture with `count` shapes, a third of its width each, and its mask."""
    width, height = int(rng.integers(66, 91)), int(rng.integers(36, 49))
    picture = rng.integers(0, 60, (height, width, 3)) + rng.integers(20, 90, 3)
    mask = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    for place in rng.permutation(3)[:count]:
        category, half = int(rng.integers(3)), rng.uniform(6, 10)
        across = np.abs(columns - width * (place + 0.5) / 3 + rng.uniform(-2, 2)) / half
        down = np.abs(rows - rng.uniform(half + 2, height - half - 2)) / half
        inside = (across**2 + down**2, np.maximum(across, down), across + down)[category] <= 1
        picture[inside] = COLOURS[category] + rng.integers(-20, 21, 3)
        mask[inside] = category + 1
    noise = rng.integers(-15, 16, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), mask


def learnt(word: str, items: Scenes, steps: int, earlier: int) -> tuple[Weights, Weights]:
    """Learn by the task's own loss; return the weights after `earlier` and after all steps."""
    task, generator = TASKS[word], torch.Generator().manual_seed(0)
    inputs = torch.from_numpy(items.inputs())
    truth = {name: torch.from_numpy(values) for name, values in items.truth.items()}
    weights = {}
    for name, (into, out, kernel, _) in {**LAYERS, "d": (16, len(task.classes), 1, 1)}.items():
        size = (2 / (into * kernel**2)) ** 0.5
        weights[f"{name}_weight"] = torch.randn(out, into, kernel, kernel, generator=generator)
        weights[f"{name}_weight"] *= size
        weights[f"{name}_bias"] = torch.zeros(out)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        rows = torch.randint(len(inputs), (BATCH,), generator=generator)
        batch = {name: values[rows] for name, values in truth.items()}
        return task.learner.loss({"logits": _logits(word, weights, inputs[rows])}, batch)["loss"]

    return descended(weights, loss, steps, earlier)


def _logits(word: str, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    held = images
    for name, (_, _, kernel, stride) in LAYERS.items():
        given = weights[f"{name}_weight"], weights[f"{name}_bias"]
        held = conv2d(held, *given, stride, kernel // 2).relu()
    if word != "segmentation":
        held = held.amax((2, 3), keepdim=True)
    found = conv2d(held, weights["d_weight"], weights["d_bias"])
    if word != "segmentation":
        return found.flatten(1)
    return interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)


def graph(word: str, weights: Weights) -> ModelProto:
    """Return the network as ONNX."""
    nodes, source = [], "image"
    for name, (_, _, kernel, stride) in LAYERS.items():
        given = [source, f"{name}_weight", f"{name}_bias"]
        more = {"pads": [kernel // 2] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", given, [f"{name}_raw"], name=name, **more))
        nodes.append(helper.make_node("Relu", [f"{name}_raw"], [name], name=f"{name}_relu"))
        source = name
    held = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    last = ["d_weight", "d_bias"]
    if word == "segmentation":
        held.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        nodes += [
            helper.make_node("Conv", ["c", *last], ["d"], name="d"),
            helper.make_node("Resize", ["d", "", "twice"], ["logits"], name="larger", **how),
        ]
    else:
        nodes += [
            helper.make_node("GlobalMaxPool", ["c"], ["pooled"], name="pool"),
            helper.make_node("Conv", ["pooled", *last], ["d"], name="d"),
            helper.make_node("Flatten", ["d"], ["logits"], name="flat"),
        ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(SPEC.shape))
    outputs = [
        helper.make_tensor_value_info(each.name, TensorProto.FLOAT, list(each.shape))
        for each in TASKS[word].answers.outputs(SPEC)
    ]
    made = helper.make_graph(nodes, "scenes", [image], outputs, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
