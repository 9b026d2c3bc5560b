"""Faults of exports that give masks: which gates block each, at fp32 and INT8.

A small network tells discs and squares from what is behind them, on wide pictures letterboxed into
32 pixels; its export, or what its device does to pictures first, is then spoilt:

| fault | parity | agreement | drop | IoU |
|---|---|---|---|---|
| classes numbered one higher, or two swapped; transposed | x | x | x | x |
| masks a pixel off | x | x | x | |
| masks half a pixel off | x | x | | |
| softmax in the graph, or logits halved | x | | | |
| logits x 1.05 | fp32 | | | |
| stretched instead of letterboxed, BGR, no mean | x | x | x | x |
| nearest instead of bilinear, mean and std of ImageNet | x | fp32 | | |
| mirrored; one picture in ten not turned by its EXIF | x | x | x | |
| weights from before the last steps | x | x | | |
| NaN for one picture in a hundred | x | x | | |

What is empty may be seen or not. A mask has no confidence: what changes no pixel's class is seen by
the raw outputs alone, and not at all where the graph ends in the class of each pixel.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from edgepress.data.labels import Seen
from edgepress.data.preprocess import decode, normalise
from edgepress.devices import host
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.target import Target
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.timing import Timing
from tests.exported import BUNDLE, export_as

SIDE, ITEMS, STEPS, EARLIER = 32, 100, 160, 60
CLASSES = ("background", "disc", "square")
COLOURS = np.array([[220, 90, 60], [70, 110, 220]])
SPEC = InputSpec(
    height=SIDE,
    width=SIDE,
    channels=3,
    mean=(0.35, 0.3, 0.4),
    std=(0.25, 0.2, 0.3),
    fit="letterbox",
)
ENTRY = {"method": "segmentation", "ignore_index": None, "argmax": False}
TASK = Task.open(ENTRY, CLASSES, "test")
CLASSIFIED = Task.open({**ENTRY, "argmax": True}, CLASSES, "test")
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
PLAN = Plan(Timing(warmup=5, runs=100, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.02,
    min_score={"mean_iou": 0.8},
    min_class_score=0.6,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.98},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
Weights = dict[str, npt.NDArray[np.float32]]
Picture = npt.NDArray[np.uint8]
precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])
pytestmark = pytest.mark.usefixtures("untimed")


@dataclass(frozen=True)
class Drawn:
    """Pictures uint8 [H, W, 3], wider than high, and their masks at the input's size."""

    pictures: tuple[Picture, ...]
    truth: Arrays

    def inputs(self, spec: InputSpec = SPEC) -> npt.NDArray[np.float32]:
        """Return the pictures as a device with this record prepares them."""
        return normalise(np.stack([decode(_png(each), spec) for each in self.pictures]), spec)


def _png(picture: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(held, "PNG", compress_level=0)
    return held.getvalue()


def drawn(count: int, seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    pictures, masks = [], []
    for _ in range(count):
        height, width = int(rng.integers(36, 49)), int(rng.integers(64, 97))
        rows, columns = np.mgrid[:height, :width] + 0.5
        picture = rng.integers(0, 60, (height, width, 3)) + rng.integers(10, 60, 3)
        mask = np.zeros((height, width), np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            y, x, radius = rng.uniform(8, height - 8), rng.uniform(8, width - 8), rng.uniform(7, 14)
            category = int(rng.integers(2))
            far = ((rows - y) ** 2 + (columns - x) ** 2) ** 0.5
            square = np.maximum(np.abs(rows - y), np.abs(columns - x))
            inside = (far if category == 0 else square) < radius
            mask[inside] = category + 1
            picture[inside] = COLOURS[category] + rng.integers(-25, 26, (int(inside.sum()), 3))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        masks.append(_truth(mask))
    return Drawn(tuple(pictures), {"mask": np.concatenate(masks)})


def _truth(mask: Picture) -> Picture:
    data, (height, width) = _png(mask), mask.shape
    label = {"path": "mask.png", "above_zero": False}
    kept = TASK.labels.admit(label, Seen(width, height), lambda path: data)
    found: Picture = TASK.labels.truth(kept.label, SPEC, lambda path: data)["mask"]
    return found


@dataclass(frozen=True)
class Setting:
    """One network, its answers to the test pictures, and its exports."""

    test: Drawn
    images: npt.NDArray[np.float32]
    models: dict[str, ModelProto]
    stale: dict[str, ModelProto]
    reference: OpenReference


@pytest.fixture(scope="module")
def setting(quantize: Any, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    train, test = drawn(160, 0), drawn(ITEMS, 1)
    stale, weights = learnt(train)

    def both(model: ModelProto) -> dict[str, ModelProto]:
        folder = tmp_path_factory.mktemp("int8")
        return {"fp32": model, "int8": quantize(model, train.inputs()[:32], folder)}

    images = test.inputs()
    raw = {"logits": run(graph(weights), images)}
    ids = tuple(f"discs-{number}" for number in range(ITEMS))
    rows = sampled(ids, TASK.answers.outputs(SPEC))
    answers = TASK.answers.decode(raw, SPEC)
    sample = {"logits": raw["logits"][list(rows)]}
    reference = OpenReference(ids, test.truth, answers, rows, sample, BUNDLE)
    return Setting(test, images, both(graph(weights)), both(graph(stale)), reference)


def learnt(items: Drawn) -> tuple[Weights, Weights]:
    """Learn by the task's own loss; return the weights before the last steps and after all."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 10, 5, 1, 2), nn.ReLU(), nn.Conv2d(10, 12, 5, 1, 2), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(12, len(CLASSES), 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    inputs, mask = torch.from_numpy(items.inputs()), torch.from_numpy(items.truth["mask"])
    kept = []
    for step in range(1, STEPS + 1):
        rows = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(step))[:12]
        found = {"logits": network(inputs[rows])}
        loss = TASK.learner.loss(found, {"mask": mask[rows]})["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (EARLIER, STEPS):
            kept.append(_weights(network))
    return kept[0], kept[1]


def _weights(network: nn.Sequential) -> Weights:
    return {
        f"{name}_{part}": getattr(network[place], part).detach().numpy().copy()
        for name, place in zip("abc", (0, 2, 4), strict=True)
        for part in ("weight", "bias")
    }


def node(kind: str, inputs: list[str], outputs: list[str], **more: Any) -> Any:
    return helper.make_node(kind, inputs, outputs, name=f"{kind}_{outputs[0]}", **more)


def graph(weights: Weights) -> ModelProto:
    nodes = [
        node("Conv", ["image", "a_weight", "a_bias"], ["1"], pads=[2] * 4),
        node("Relu", ["1"], ["2"]),
        node("Conv", ["2", "b_weight", "b_bias"], ["3"], pads=[2] * 4),
        node("Relu", ["3"], ["4"]),
        node("Conv", ["4", "c_weight", "c_bias"], ["logits"]),
    ]
    held = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(SPEC.shape))
    shape = [1, len(CLASSES), SIDE, SIDE]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    made = helper.make_graph(nodes, "discs", [image], [logits], held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def run(model: ModelProto, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(["logits"], {"image": each[None]})[0] for each in images])


def after(model: ModelProto, *nodes: Any, plain: str = "plain", **held: Any) -> ModelProto:
    """Return a model that goes on behind its logits: `nodes` lead from `plain` to the output."""
    changed = ModelProto()
    changed.CopyFrom(model)
    changed.graph.node[-1].output[0] = plain
    for name, values in held.items():
        changed.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    changed.graph.node.extend(nodes)
    return changed


@pytest.fixture
def blocked(tmp_path: Path, setting: Setting) -> Callable[..., set[str]]:
    """Return a function that measures an export and says which gates block it."""

    def gates_of(
        model: ModelProto,
        precision: str,
        spec: InputSpec = SPEC,
        items: Drawn = setting.test,
        task: Task = TASK,
    ) -> set[str]:
        key = f"{HERE}-{precision}"
        subject = export_as(model, tmp_path / "export", key, (task, spec))
        healthy = items is setting.test and spec == SPEC
        images = setting.images if healthy else items.inputs(spec)
        reference = setting.reference
        if task is CLASSIFIED:
            rows = list(reference.rows)
            raw = {"mask": reference.answers["mask"][rows].astype(np.int32)}
            reference = replace(reference, raw=raw)
        truth = measure.Truth(reference, [{"image": images}], task, SPEC)
        found = measure.measure(subject, None, truth, PLAN)
        judged = judge(found, GATES, BUDGET, Target.parse(key))
        return {verdict.gate for verdict in judged.verdicts if verdict.outcome != "pass"}

    return gates_of


def ordered(order: list[int]) -> Callable[[ModelProto], ModelProto]:
    gather = node("Gather", ["plain", "order"], ["logits"], axis=1)
    return lambda model: after(model, gather, order=np.array(order))


def moved(shares: tuple[float, float]) -> Callable[[ModelProto], ModelProto]:
    """Make each place the sum of shares of itself and of its right neighbour."""
    kernel = np.zeros((len(CLASSES), 1, 1, 2), np.float32)
    kernel[..., :] = shares
    nodes = [
        node("Pad", ["plain", "pads"], ["wide"], mode="edge"),
        node("Conv", ["wide", "kernel"], ["logits"], group=len(CLASSES)),
    ]
    pads = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    return lambda model: after(model, *nodes, pads=pads, kernel=kernel)


def times(factor: float) -> Callable[[ModelProto], ModelProto]:
    return lambda model: after(
        model, node("Mul", ["plain", "factor"], ["logits"]), factor=np.float32(factor)
    )


def softmax(model: ModelProto) -> ModelProto:
    return after(model, node("Softmax", ["plain"], ["logits"], axis=1))


def transposed(model: ModelProto) -> ModelProto:
    return after(model, node("Transpose", ["plain"], ["logits"], perm=[0, 1, 3, 2]))


ANSWERS = {"parity", "agreement"}
EVERY = ANSWERS | {"drop", "mean_iou"}
OUTPUT_FAULTS: dict[str, tuple[Callable[[ModelProto], ModelProto], set[str], set[str]]] = {
    # fault: (what is done, gates that block it, gates that do not see it)
    "ids one higher": (ordered([2, 0, 1]), EVERY, set()),
    "two classes swapped": (ordered([0, 2, 1]), EVERY, set()),
    "transposed": (transposed, EVERY, set()),
    "a pixel off": (moved((0.0, 1.0)), ANSWERS | {"drop"}, set()),
    "half a pixel off": (moved((0.5, 0.5)), ANSWERS, set()),
    "logits halved": (times(0.5), {"parity"}, {"agreement", "drop", "mean_iou"}),
    "softmax": (softmax, {"parity"}, {"agreement", "drop", "mean_iou"}),
}


@precisions
def test_healthy_export_passes(precision: str, setting: Setting, blocked: Any) -> None:
    assert blocked(setting.models[precision], precision) == set()


@precisions
@pytest.mark.parametrize("fault", OUTPUT_FAULTS)
def test_outputs_that_mean_something_else_are_blocked_by_these_gates(
    precision: str, fault: str, setting: Setting, blocked: Any
) -> None:
    change, sees, blind = OUTPUT_FAULTS[fault]
    found = blocked(change(setting.models[precision]), precision)
    assert found >= sees
    assert not found & blind


def test_logits_a_little_larger_are_blocked_at_fp32(setting: Setting, blocked: Any) -> None:
    assert blocked(times(1.05)(setting.models["fp32"]), "fp32") == {"parity"}


SPEC_FAULTS: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    # fault: (what is changed, gates that block it at fp32, and at INT8)
    "stretched": ({"fit": "stretch"}, EVERY, EVERY),
    "nearest": ({"resize": "nearest"}, ANSWERS, {"parity"}),
    "bicubic": ({"resize": "bicubic"}, ANSWERS, set()),
    "mean and std of ImageNet": (
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        ANSWERS,
        {"parity"},
    ),
    "no mean": ({"mean": (0.0, 0.0, 0.0)}, EVERY, EVERY),
}


@precisions
@pytest.mark.parametrize("fault", SPEC_FAULTS)
def test_pictures_fitted_or_scaled_otherwise_are_blocked(
    precision: str, fault: str, setting: Setting, blocked: Any
) -> None:
    change, fp32, int8 = SPEC_FAULTS[fault]
    found = blocked(setting.models[precision], precision, spec=SPEC.model_copy(update=change))
    assert found >= (fp32 if precision == "fp32" else int8)


@precisions
@pytest.mark.parametrize(
    ("change", "one_in", "sees"),
    [
        (lambda picture: picture[..., ::-1], 1, EVERY),
        (lambda picture: picture[:, ::-1], 1, EVERY),
        (np.rot90, 10, ANSWERS | {"drop"}),
    ],
    ids=["bgr", "mirrored", "one in ten not turned by its EXIF"],
)
def test_pictures_read_otherwise_are_blocked(
    precision: str, change: Any, one_in: int, sees: set[str], setting: Setting, blocked: Any
) -> None:
    pictures = tuple(
        each if number % one_in else change(each)
        for number, each in enumerate(setting.test.pictures)
    )
    items = replace(setting.test, pictures=pictures)
    assert blocked(setting.models[precision], precision, items=items) >= sees


@precisions
def test_weights_from_before_the_last_steps_are_blocked(
    precision: str, setting: Setting, blocked: Any
) -> None:
    assert blocked(setting.stale[precision], precision) >= ANSWERS


@precisions
def test_nan_for_one_image_in_a_hundred_is_blocked(
    precision: str, setting: Setting, blocked: Any
) -> None:
    darkest, second = np.sort(setting.images.mean(axis=(1, 2, 3)))[:2]
    nodes = [
        node("ReduceMean", ["image"], ["mean"], keepdims=0),
        node("Sub", ["mean", "cut"], ["over"]),
        node("Log", ["over"], ["log"]),
        node("Mul", ["log", "none"], ["nothing"]),
        node("Add", ["plain", "nothing"], ["logits"]),
    ]
    cut = np.float32((darkest + second) / 2)
    model = after(setting.models[precision], *nodes, cut=cut, none=np.float32(0))
    found = blocked(model, precision)
    assert found >= (ANSWERS if precision == "fp32" else {"parity"})


def classes_of(model: ModelProto) -> ModelProto:
    """End the graph in the class of each pixel."""
    last = node("ArgMax", ["last"], ["long"], axis=1, keepdims=0)
    ended = after(model, last, plain="last")
    ended.graph.node.append(node("Cast", ["long"], ["mask"], to=TensorProto.INT32))
    del ended.graph.output[:]
    shape = [1, SIDE, SIDE]
    ended.graph.output.append(helper.make_tensor_value_info("mask", TensorProto.INT32, shape))
    return ended


@pytest.mark.parametrize(
    ("fault", "sees"),
    [
        (None, set()),
        ("ids one higher", EVERY),
        ("a pixel off", {"agreement", "drop"}),
        ("half a pixel off", {"agreement"}),
        ("logits halved", set()),
    ],
)
def test_what_changes_no_class_is_not_seen_where_the_graph_ends_in_classes(
    fault: str | None, sees: set[str], setting: Setting, blocked: Any
) -> None:
    model = setting.models["fp32"]
    if fault is not None:
        model = OUTPUT_FAULTS[fault][0](model)
    found = blocked(classes_of(model), "fp32", task=CLASSIFIED)
    assert found >= sees if sees else found == set()
