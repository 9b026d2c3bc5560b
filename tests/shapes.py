"""Wide pictures of coloured shapes, and a small network that has learnt to find them, as ONNX."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d

from edgepress.data.labels import Seen
from edgepress.data.preprocess import decode, normalise
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task

SIDE, STRIDES = 48, (4, 8)
CLASSES = ("disc", "square", "diamond")
COLOURS = np.array([[225, 60, 50], [60, 200, 70], [60, 90, 225]])
SPEC = InputSpec(
    height=SIDE,
    width=SIDE,
    channels=3,
    mean=(0.35, 0.3, 0.4),
    std=(0.25, 0.2, 0.3),
    fit="letterbox",
)
ENTRY: dict[str, Any] = {
    "method": "detection",
    "strides": list(STRIDES),
    "most_objects": 6,
    "most_answers": 30,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.4,
}
TASK = Task.open(ENTRY, CLASSES, "test")
LAYERS = {
    # name: (from, channels out, kernel, stride, whether a ReLU follows)
    "a": ("image", 12, 5, 2, True),
    "b": ("a", 16, 3, 2, True),
    "c": ("b", 16, 3, 1, True),
    "d": ("c", 24, 3, 2, True),
    "e": ("d", 24, 3, 1, True),
    "f": ("e", 24, 3, 1, True),
    "boxes_4": ("c", 4, 1, 1, False),
    "scores_4": ("c", len(CLASSES), 1, 1, False),
    "boxes_8": ("f", 4, 1, 1, False),
    "scores_8": ("f", len(CLASSES), 1, 1, False),
}
OUTPUTS = tuple(name for name in LAYERS if "_" in name)
BATCH, RATE, WARM = 16, 0.015, 30
"""Pictures a step, Adam's highest rate, and the steps in which it is reached."""
Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Shapes:
    """Pictures uint8 [H, W, 3] of several sizes, and the boxes on them."""

    pictures: tuple[npt.NDArray[np.uint8], ...]
    truth: Arrays

    def inputs(self, spec: InputSpec = SPEC) -> npt.NDArray[np.float32]:
        """Return the pictures as a device with this record prepares them."""
        return normalise(np.stack([decode(png(each), spec) for each in self.pictures]), spec)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "PNG", compress_level=0)
    return held.getvalue()


def _no_file(path: str) -> bytes:
    raise AssertionError(path)


def shapes(count: int, seed: int) -> Shapes:
    """Draw pictures with up to four shapes each, apart from one another."""
    rng = np.random.default_rng(seed)
    pictures, truths = [], []
    for _ in range(count):
        picture, objects = _drawn(rng)
        height, width = picture.shape[:2]
        label = {"width": width, "height": height, "relative": False, "objects": objects}
        kept = TASK.labels.admit(label, Seen(width, height), _no_file)
        truths.append(TASK.labels.truth(kept.label, SPEC, _no_file))
        pictures.append(picture)
    truth = {name: np.concatenate([each[name] for each in truths]) for name in truths[0]}
    return Shapes(tuple(pictures), truth)


def _drawn(rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]:
    width, height = int(rng.integers(96, 145)), int(rng.integers(48, 73))
    picture = rng.integers(-15, 16, (height, width, 3))
    noise, picture = picture, rng.integers(0, 60, (height, width, 3)) + rng.integers(20, 90, 3)
    rows, columns = np.mgrid[:height, :width] + 0.5
    taken = np.zeros((height, width), bool)
    objects: list[dict[str, Any]] = []
    for _ in range(12):
        wide = np.exp(rng.uniform(np.log(18), np.log(60)))
        high = wide * rng.uniform(0.8, 1.25)
        if wide > width - 4 or high > height - 4 or len(objects) == 4:
            continue
        left, top = rng.uniform(2, width - 2 - wide), rng.uniform(2, height - 2 - high)
        part = np.s_[int(top) : int(top + high) + 1, int(left) : int(left + wide) + 1]
        if taken[part].any():
            continue
        taken[part] = True
        category = int(rng.integers(3))
        x = np.abs(columns - left - wide / 2) / wide * 2
        y = np.abs(rows - top - high / 2) / high * 2
        inside = (x**2 + y**2, np.maximum(x, y), x + y)[category] <= 1
        picture[inside] = COLOURS[category] + rng.integers(-20, 21, 3)
        box = [left, top, left + wide, top + high]
        one = {"category": category, "box": box, "rings": None, "points": None, "area": None}
        objects.append({**one, "crowd": False, "ignore": False})
    return np.clip(picture + noise, 0, 255).astype(np.uint8), objects


def learnt(items: Shapes, seed: int, steps: int, earlier: int) -> tuple[Weights, Weights]:
    """Learn by the task's own loss; return the weights after `earlier` and after all steps."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.from_numpy(items.inputs())
    truth = {name: torch.from_numpy(values) for name, values in items.truth.items()}
    weights = _drawn_weights(generator)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        rows = torch.randint(len(inputs), (BATCH,), generator=generator)
        batch = {name: values[rows] for name, values in truth.items()}
        return TASK.learner.loss(outputs(weights, inputs[rows]), batch)["loss"]

    return descended(weights, loss, steps, earlier)


def descended(
    weights: dict[str, Tensor],
    loss: Callable[[dict[str, Tensor]], Tensor],
    steps: int,
    earlier: int,
) -> tuple[Weights, Weights]:
    """Lower the loss of a drawn batch at each step; return weights after `earlier` and all steps.

    Adam is by hand: torch.optim loads a compiler, which takes longer than the learning.
    """
    weights = {name: each.requires_grad_() for name, each in weights.items()}
    first = {name: torch.zeros_like(each) for name, each in weights.items()}
    second = {name: torch.zeros_like(each) for name, each in weights.items()}
    kept: list[Weights] = []
    for step in range(1, steps + 1):
        found = torch.autograd.grad(loss(weights), list(weights.values()))
        rate = RATE * min(step / WARM, 1 - (step - 1) / steps)
        with torch.no_grad():
            for name, slope in zip(weights, found, strict=True):
                first[name].lerp_(slope, 0.1)
                second[name].lerp_(slope**2, 0.01)
                mean, size = first[name] / (1 - 0.9**step), second[name] / (1 - 0.99**step)
                weights[name] -= rate * mean / (size.sqrt() + 1e-8)
        if step in (earlier, steps):
            kept.append({name: each.detach().numpy().copy() for name, each in weights.items()})
    return kept[0], kept[1]


def _drawn_weights(generator: torch.Generator) -> dict[str, Tensor]:
    found = {}
    for name, (source, out, kernel, _, _) in LAYERS.items():
        into = 3 if source == "image" else LAYERS[source][1]
        size = (2 / (into * kernel**2)) ** 0.5
        found[f"{name}_weight"] = torch.randn(out, into, kernel, kernel, generator=generator) * size
        found[f"{name}_bias"] = torch.full((out,), -3.0 if name.startswith("scores") else 0.0)
    return found


def outputs(weights: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """Return the network's maps for images [N, 3, SIDE, SIDE]."""
    held = {"image": images}
    for name, (source, _, kernel, stride, bent) in LAYERS.items():
        weight, bias = weights[f"{name}_weight"], weights[f"{name}_bias"]
        found = conv2d(held[source], weight, bias, stride, kernel // 2)
        held[name] = found.relu() if bent else found
    return {name: held[name] for name in OUTPUTS}


def graph(weights: Weights) -> ModelProto:
    """Return the network as ONNX."""
    nodes = []
    for name, (source, _, kernel, stride, bent) in LAYERS.items():
        pads, raw = [kernel // 2] * 4, f"{name}_raw" if bent else name
        given = [source, f"{name}_weight", f"{name}_bias"]
        nodes.append(
            helper.make_node("Conv", given, [raw], name=name, pads=pads, strides=[stride] * 2)
        )
        if bent:
            nodes.append(helper.make_node("Relu", [raw], [name], name=f"{name}_relu"))
    held = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(SPEC.shape))
    outputs = [
        helper.make_tensor_value_info(each.name, TensorProto.FLOAT, list(each.shape))
        for each in TASK.answers.outputs(SPEC)
    ]
    made = helper.make_graph(nodes, "shapes", [image], outputs, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def after(model: ModelProto, nodes: list[NodeProto], **held: Any) -> ModelProto:
    """Return a model that goes on behind its outputs: `nodes` read `boxes_4_plain` and so on.

    Outputs that no node gives are left as they are; `held` are constants.
    """
    changed = ModelProto()
    changed.CopyFrom(model)
    given = {name for each in nodes for name in each.output}
    given &= {each.name for each in model.graph.output}
    for each in changed.graph.node:
        for place, name in enumerate(each.output):
            if name in given:
                each.output[place] = f"{name}_plain"
    for name, values in held.items():
        changed.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    changed.graph.node.extend(nodes)
    return changed
