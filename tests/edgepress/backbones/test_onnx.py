"""A trained network as an ONNX file: the same answers here, or one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch_pruning
from onnx import helper, numpy_helper
from torch import Tensor, nn

from edgepress.backbones._onnx.graph import Graph
from edgepress.backbones.features import Backbone
from edgepress.backbones.onnx import Onnx
from edgepress.bundles import bundle
from edgepress.bundles.network import Blueprint
from edgepress.bundles.network import build as build_network
from edgepress.bundles.surgery import difference, replay
from edgepress.errors import UserError
from edgepress.heads.own import Own
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from tests.classified import open_task

SPEC = InputSpec(height=16, width=16, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
FILE = Path("model.onnx")
HEAD = {"method": "own"}
Made = Callable[..., nn.Module]


class Small(nn.Module):
    """A residual network with a gate, and attention over what is left of the places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.norm, self.qkv = nn.LayerNorm(8), nn.Linear(8, 24)
        self.place = nn.Parameter(torch.randn(1, 64, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.block(x) * self.gate(x)
        x = x.flatten(2).transpose(1, 2) + self.place
        q, k, v = self.qkv(self.norm(x)).reshape(len(x), 64, 3, 2, 4).permute(2, 0, 3, 1, 4)
        x = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return self.head(nn.functional.gelu(x).mean(1))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    made = Small()
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return made.eval()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def export(network: nn.Module, **options: Any) -> None:
    """Write model.onnx by PyTorch's older exporter, which is quick."""
    asked = {"opset_version": 17, "dynamo": False, "input_names": ["x"], **options}
    torch.onnx.export(network.eval(), (torch.zeros(SPEC.shape),), str(FILE), **asked)


def build(spec: InputSpec = SPEC) -> Backbone:
    raw = {"method": "onnx", "path": str(FILE)}
    made: Backbone = resolve("backbones", raw, "params.yaml", "train.backbone")(spec, "outputs")
    return made


def images(count: int = 3) -> Tensor:
    return torch.randn(count, *SPEC.shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {"opset_version": 14},
        {"opset_version": 17, "dynamic_axes": {"x": {0: "n"}}},
        {"opset_version": 18, "dynamo": True, "external_data": False, "verbose": False},
        {"opset_version": 20, "dynamo": True, "external_data": True, "verbose": False},
    ],
    ids=["script-14", "script-17-open", "dynamo-18", "dynamo-20-beside"],
)
def test_network_answers_as_the_one_that_was_exported(
    small: nn.Module, options: dict[str, Any]
) -> None:
    export(small, **options)
    made = build()
    with torch.inference_mode():
        torch.testing.assert_close(made(images()), small(images()), rtol=1e-4, atol=1e-5)
    origin = made.origin(images())
    assert "answers to 3 images as ONNX Runtime's" in origin.told
    assert ("onnx_data" in origin.lineage) == bool(options.get("external_data"))


@pytest.mark.filterwarnings("ignore")
def test_bundle_is_the_network_without_the_file(small: nn.Module) -> None:
    export(small)
    task = open_task(tuple("abcd"))
    entry = {"method": "onnx", "path": str(FILE)}
    network = build_network(Blueprint(entry, HEAD, SPEC, task.learner.outputs(SPEC)))
    bundle.save(Path("teacher"), network, bundle.Draft(task, entry, HEAD, SPEC, {}))
    FILE.unlink()
    record, again = bundle.load(Path("teacher"))
    assert record.backbone["path"] == str(FILE)
    assert torch.equal(again(images()), network.eval()(images()))
    assert again.backbone.original is None
    assert isinstance(again.backbone, Onnx)


@pytest.mark.filterwarnings("ignore")
def test_graph_is_learnt_and_exported_as_any_network(small: nn.Module) -> None:
    export(small)
    made = build()
    nn.functional.cross_entropy(made(images()), torch.tensor([0, 1, 2])).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    program = torch.export.export(made.eval(), (images(1),))
    whole = nn.Sequential(made, Own(("logits",)))
    traced = torch.fx.symbolic_trace(whole)  # as Core ML's quantizer does
    for other in (program.module(), traced):
        assert torch.allclose(other(images(1)), made(images(1)), atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("last", "name"), [(nn.Softmax(1), "Softmax"), (nn.LogSoftmax(1), "LogSoftmax")]
)
def test_last_softmax_is_left_off_and_said(small: nn.Module, last: nn.Module, name: str) -> None:
    export(nn.Sequential(small, last))
    made = build()
    with torch.inference_mode():
        torch.testing.assert_close(made(images()), small(images()), rtol=1e-4, atol=1e-5)
    origin = made.origin(images())
    assert f"; its last {name} left off, since answers are made of logits" in origin.told


@pytest.mark.filterwarnings("ignore")
def test_open_height_and_width_are_those_of_input_and_said() -> None:
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    export(pooled, dynamic_axes={"x": {0: "n", 2: "h", 3: "w"}})
    origin = build().origin(images())
    assert "; height and width open, so those of input" in origin.told


def pooled(*, channels: int = 3, nodes: Any = (), opset: int = 17, **changes: Any) -> None:
    """Write a graph that averages pixels, with something wrong about it."""
    shape = changes.get("shape", [1, channels, 16, 16])
    inputs = [helper.make_tensor_value_info("x", changes.get("kind", 1), shape)]
    inputs += [helper.make_tensor_value_info(n, 1, [1]) for n in changes.get("more", ())]
    nodes = nodes or [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    outputs = [helper.make_tensor_value_info("y", changes.get("gives", 1), None)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, changes.get("constants", []))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(FILE))


def node(operator: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, ["x", *inputs], ["y"], **attributes)


def scale() -> list[Any]:
    return [numpy_helper.from_array(np.array(0.1, np.float32), "s")]


def softmax_by_hand() -> list[Any]:
    return [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["m"], ["p"], axis=1),
        helper.make_node("Abs", ["p"], ["y"]),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": [node("Fancy", domain="com.acme")]}, "not ONNX's own: com.acme.Fancy; export"),
        ({"nodes": [node("Det")]}, "operators that are not known here: Det; known are Abs, "),
        ({"nodes": [node("QuantizeLinear", "s")], "constants": scale()}, "is quantized already ("),
        ({"nodes": [node("ArgMax", axis=1)], "gives": 7}, "gives y as tensor(int64), expected the"),
        ({"nodes": [node("Add", "z")]}, "ONNX Runtime refuses it: "),
        ({"opset": 6}, "has opset 6, too old; known are 7 to 26; export it anew, or use onnx."),
        ({"opset": 28}, "has opset 28, too new; known are 7 to 26"),
        ({"more": ["mask"]}, "takes 2 inputs (x, mask), expected one, an image"),
        ({"kind": 10}, "takes float16, expected float32 images; export the network in float32"),
        ({"shape": [1, 3, 24, 32]}, "set input: {height: 24, width: 32, channels: 3}, and mean"),
        ({"channels": 1}, "[1, 16, 16], input says [3, 16, 16]; set input: {height: 16, width: 16"),
        ({"shape": [1, 16, 16, 3]}, "with their channels last, [1, 16, 16, 3]; export it for NCHW"),
        ({"shape": [8, 3, 16, 16]}, "takes 8 images at once; export it with a batch of 1"),
        ({"shape": [1, 768]}, "takes a tensor of 2 axes, expected images NCHW"),
        ({"nodes": [node("Slice", "a", "b", "c", "d")], "constants": [
            numpy_helper.from_array(np.array([v], np.int64), n)
            for n, v in zip("abcd", (-1, -17, 2, -1), strict=True)
        ]}, "its operator Slice (gives 'y') goes backwards"),
    ],
)  # fmt: skip
def test_file_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    pooled(**changes)
    with pytest.raises(UserError) as refused:
        build()
    assert str(refused.value).startswith("model.onnx: ")
    assert words in str(refused.value)


def test_functions_of_the_file_are_written_out() -> None:
    pooled(nodes=[node("Twice", domain="com.acme")])
    model = onnx.load(str(FILE))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    twice = helper.make_function("com.acme", "Twice", ["a"], ["b"], body, opset)
    model.functions.append(twice)
    onnx.save(model, str(FILE))
    assert torch.equal(build()(images()), 2 * images())


def test_file_is_refused_when_it_is_none() -> None:
    with pytest.raises(UserError, match="model.onnx: file not found; set path to your ONNX file"):
        build()
    for content in (b"", b"no protobuf at all", bytes(100)):
        FILE.write_bytes(content)
        with pytest.raises(UserError, match="model.onnx: is no ONNX file"):
            build()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("model.onnx.data", "has its weights in model.onnx.data, which is missing; put that file"),
        ("net.onnx.data", "has its weights in net.onnx.data, expected within or in one file model"),
        ("../model.onnx.data", "has its weights in ../model.onnx.data, expected within or in one"),
    ],
)
def test_file_is_refused_when_its_weights_lie_nowhere(place: str, words: str) -> None:
    pooled(nodes=[node("Add", "s")], constants=scale())
    model = onnx.load(str(FILE))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    FILE.write_bytes(model.SerializeToString())
    with pytest.raises(UserError) as refused:
        build()
    assert words in str(refused.value)


def test_answers_are_refused_when_they_are_probabilities_already() -> None:
    pooled(nodes=softmax_by_hand())
    with pytest.raises(UserError, match="gives probabilities that sum to 1, expected logits"):
        build().origin(images())


def test_answers_are_refused_when_they_are_not_those_of_onnx_runtime() -> None:
    pooled(nodes=[
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "w"], ["y"]),
    ], constants=[numpy_helper.from_array(np.ones(3, np.float32), "w")])  # fmt: skip
    made = build()
    with torch.no_grad():
        next(made.parameters()).mul_(1.01)
    with pytest.raises(UserError, match=r"off ONNX Runtime's by 0\.01 of the largest, at most 0"):
        made.origin(images())


def test_head_of_ours_is_refused_since_the_file_has_one() -> None:
    pooled()
    entry = {"method": "onnx", "path": str(FILE)}
    outputs = open_task(("a", "b", "c")).learner.outputs(SPEC)
    with pytest.raises(UserError, match=r"train.backbone: .*set head: \{method: own\}"):
        build_network(Blueprint(entry, {"method": "linear"}, SPEC, outputs))
    two = open_task(("a", "b")).learner.outputs(SPEC)
    with pytest.raises(UserError, match=r"gives logits \(1, 3\), .* \(1, 2\); take a model of as"):
        build_network(Blueprint(entry, HEAD, SPEC, two))


def test_file_is_refused_when_it_gives_more_than_the_task_asks_for() -> None:
    pooled()
    model = onnx.load(str(FILE))
    model.graph.node.append(helper.make_node("Abs", ["y"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", 1, None))
    onnx.save(model, str(FILE))
    outputs = open_task(("a", "b", "c")).learner.outputs(SPEC)
    with pytest.raises(UserError, match="the model gives 2 outputs, the task asks for logits;"):
        build_network(Blueprint({"method": "onnx", "path": str(FILE)}, HEAD, SPEC, outputs))


@pytest.mark.filterwarnings("ignore")
def test_channels_are_cut_as_those_of_any_network() -> None:
    torch.manual_seed(0)
    export(nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    ))  # fmt: skip
    fresh, cut = build(), build()
    importance = torch_pruning.importance.MagnitudeImportance()
    ignored = [layer for layer in cut.modules() if isinstance(layer, nn.Linear)]
    torch_pruning.pruner.BasePruner(
        cut, images(1), importance, pruning_ratio=0.5, ignored_layers=ignored
    ).step()
    replay(fresh, difference(fresh, cut))
    fresh.load_state_dict(cut.state_dict())
    assert sum(p.numel() for p in cut.parameters()) < 1200
    assert torch.allclose(fresh.eval()(images()), cut.eval()(images()), atol=1e-6)


def test_graph_of_a_bundle_is_refused_when_a_step_is_unknown() -> None:
    step = {"name": "a_0", "operator": "__import__", "inputs": ["image"], "outputs": ["v1"]}
    graph = Graph.model_validate_json(json.dumps({"steps": [step], "outputs": ["v1"]}))
    with pytest.raises(UserError, match="step a_0: no operator '__import__'; wrong version?"):
        Onnx(graph)
