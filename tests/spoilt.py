"""Ways in which exports are spoilt: changes of a graph, of its input's record, and of pictures.

A graph is changed behind its outputs, so that the same change serves float and quantized ones.
`what` is how the names of the outputs begin that are changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.shapes import CLASSES, SPEC, STRIDES, after

Change = Callable[[ModelProto], ModelProto]
Picture = npt.NDArray[np.uint8]


def node(kind: str, inputs: list[str], outputs: list[str], **more: Any) -> NodeProto:
    return helper.make_node(kind, inputs, outputs, **more)


def outputs_of(model: ModelProto, what: str) -> list[str]:
    """Return the names of the outputs that begin so."""
    return [each.name for each in model.graph.output if each.name.startswith(what)]


def ordered(what: str, order: list[int]) -> Change:
    """Put the channels of the outputs `what` into another order."""

    def change(model: ModelProto) -> ModelProto:
        names = outputs_of(model, what)
        nodes = [node("Gather", [f"{name}_plain", "order"], [name], axis=1) for name in names]
        return after(model, nodes, order=np.array(order))

    return change


def times(factor: float, what: str = "scores") -> Change:
    """Multiply all logits: no class and no place changes, every confidence does."""

    def change(model: ModelProto) -> ModelProto:
        names = outputs_of(model, what)
        nodes = [node("Mul", [f"{name}_plain", "factor"], [name]) for name in names]
        return after(model, nodes, factor=np.float32(factor))

    return change


def ending(kind: str, what: str = "scores", **more: Any) -> Change:
    """End the logits in one more operator."""

    def change(model: ModelProto) -> ModelProto:
        names = outputs_of(model, what)
        return after(model, [node(kind, [f"{name}_plain"], [name], **more) for name in names])

    return change


def moved(pixels: float = 0.0, strides: float = 0.0) -> Change:
    """Move every box right and down, by pixels of the input and by strides of its own map."""

    def change(model: ModelProto) -> ModelProto:
        nodes, held = [], {"least": np.float32(0.01)}
        for stride in STRIDES:
            name, far = f"boxes_{stride}", strides + pixels / stride
            offset = np.array([-far, -far, far, far], np.float32).reshape(1, 4, 1, 1)
            held[f"{name}_far"] = offset
            steps = [f"{name}_plain", *(f"{name}_{part}" for part in ("exp", "sum", "cut")), name]
            nodes += [
                node("Exp", steps[:1], steps[1:2]),
                node("Add", [steps[1], f"{name}_far"], steps[2:3]),
                node("Max", [steps[2], "least"], steps[3:4]),
                node("Log", steps[3:4], steps[4:]),
            ]
        return after(model, nodes, **held)

    return change


def class_ids(name: str = "logits") -> Change:
    """End the logits [1, C, H, W] in the class of every pixel, int64 [1, 1, H, W] under a name."""

    def change(model: ModelProto) -> ModelProto:
        changed = after(model, [node("ArgMax", ["logits_plain"], ["logits"], axis=1)])
        (output,), (last,) = changed.graph.output, changed.graph.node[-1:]
        output.name = last.output[0] = name
        output.type.tensor_type.elem_type = TensorProto.INT64
        output.type.tensor_type.shape.dim[1].dim_value = 1
        return changed

    return change


def one_hot(model: ModelProto) -> ModelProto:
    """End the logits [1, C, H, W] in 1 for the class of each pixel and 0 for the others."""
    nodes = [
        node("ArgMax", ["logits_plain"], ["class"], axis=1, keepdims=0),
        node("OneHot", ["class", "classes", "off_on"], ["logits"], axis=1),
    ]
    count = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return after(model, nodes, classes=np.int64(count), off_on=np.array([0, 1], np.float32))


def by(kind: str, output: str, value: Any, **more: Any) -> Change:
    """End one output in an operator that takes a constant beside it."""

    def change(model: ModelProto) -> ModelProto:
        given = [f"{output}_plain", f"{output}_value"]
        last = node(kind, given, [output], **more)
        return after(model, [last], **{given[1]: np.asarray(value)})

    return change


def one_scale(model: ModelProto) -> ModelProto:
    """Join distances and logits before they are quantized, and part them after."""
    nodes, held = [], {"sizes": np.array([4, len(CLASSES)])}
    for stride in STRIDES:
        names = [f"boxes_{stride}", f"scores_{stride}"]
        plain, joint = [f"{name}_plain" for name in names], f"joint_{stride}"
        nodes += [
            node("Concat", plain, [joint], axis=1, name=f"join_{stride}"),
            node("Split", [joint, "sizes"], names, axis=1, name=f"part_{stride}"),
        ]
    return after(model, nodes, **held)


def joined_in_the_file(model: ModelProto, steps: dict[str, float]) -> ModelProto:
    """Give a finished export's outputs of each stride one scale of 8 bits, chosen for both."""
    nodes, held = [], {"sizes": np.array([4, len(CLASSES)]), "zero": np.int8(0)}
    for stride in STRIDES:
        names = [f"boxes_{stride}", f"scores_{stride}"]
        parts = [f"{part}_{stride}" for part in ("joint", "integers", "real", "step")]
        held[parts[3]] = np.float32(max(steps[name] for name in names) / 127)
        nodes += [
            node("Concat", [f"{name}_plain" for name in names], parts[:1], axis=1),
            node("QuantizeLinear", [parts[0], parts[3], "zero"], parts[1:2]),
            node("DequantizeLinear", [parts[1], parts[3], "zero"], parts[2:3]),
            node("Split", [parts[2], "sizes"], names, axis=1),
        ]
    return after(model, nodes, **held)


def one_scale_in_pixels(model: ModelProto) -> ModelProto:
    """Join distances in pixels and logits, as graphs do whose boxes are decoded inside of them.

    The pixels are those of an input of 640, since that is where a common scale does its harm.
    """
    nodes, held = [], {"sizes": np.array([4, len(CLASSES)]), "least": np.float32(0.01)}
    for stride in STRIDES:
        held[f"size_{stride}"] = np.float32(stride * 640 / SPEC.width)
        boxes_name, scores_name = f"boxes_{stride}", f"scores_{stride}"
        step = {part: f"{part}_{stride}" for part in ("exp", "pixels", "joint", "cut", "ratio")}
        parted = f"parted_{stride}"
        chain = [
            ("Exp", [f"{boxes_name}_plain"], [step["exp"]], {}),
            ("Mul", [step["exp"], f"size_{stride}"], [step["pixels"]], {}),
            ("Concat", [step["pixels"], f"{scores_name}_plain"], [step["joint"]], {"axis": 1}),
            ("Split", [step["joint"], "sizes"], [parted, scores_name], {"axis": 1}),
            ("Div", [parted, f"size_{stride}"], [step["ratio"]], {}),
            ("Max", [step["ratio"], "least"], [step["cut"]], {}),
            ("Log", [step["cut"]], [boxes_name], {}),
        ]
        nodes += [
            node(kind, given, made, name=f"{kind}_{stride}", **more)
            for kind, given, made, more in chain
        ]
    return after(model, nodes, **held)


def logarithm(cut: float, what: str = "scores_8") -> Change:
    """Add nothing times a logarithm of the image's mean over `cut`: NaN for darker images."""

    def change(model: ModelProto) -> ModelProto:
        nodes = [
            node("ReduceMean", ["image"], ["mean"], keepdims=0),
            node("Sub", ["mean", "cut"], ["over"]),
            node("Log", ["over"], ["log"]),
            node("Mul", ["log", "none"], ["nothing"]),
            node("Add", [f"{what}_plain", "nothing"], [what]),
        ]
        return after(model, nodes, cut=np.float32(cut), none=np.float32(0))

    return change


def asymmetric(model: ModelProto) -> ModelProto:
    """Enlarge from pixels' corners for their middles: by two, all moves half a pixel."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for each in changed.graph.node:
        for attribute in each.attribute if each.op_type == "Resize" else ():
            if attribute.name == "coordinate_transformation_mode":
                attribute.s = b"asymmetric"
    return changed


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SPECS: dict[str, dict[str, Any]] = {
    "stretched": {"fit": "stretch"},
    "nearest": {"resize": "nearest"},
    "bicubic": {"resize": "bicubic"},
    "mean and std of ImageNet": IMAGENET,
    "no mean": {"mean": (0.0, 0.0, 0.0)},
}
"""Name of a fault -> what the record of the input says instead."""


def bgr(picture: Picture) -> Picture:
    return picture[..., ::-1]


def mirrored(picture: Picture) -> Picture:
    return picture[:, ::-1]


def turned(picture: Picture) -> Picture:
    """As a phone stores it beside EXIF's number, for who does not read that."""
    return np.rot90(picture)


def some(pictures: tuple[Picture, ...], change: Any, one_in: int = 1) -> tuple[Picture, ...]:
    """Change the first of every `one_in` pictures."""
    return tuple(each if number % one_in else change(each) for number, each in enumerate(pictures))
