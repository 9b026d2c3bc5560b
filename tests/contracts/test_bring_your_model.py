"""docs/bring_your_model.md does what it says, in a project of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
import yaml
from onnx import helper, numpy_helper

from edgepress.commands.preset import merge
from edgepress.data.placement import covered
from edgepress.params import validate
from edgepress.records.inputs import InputSpec
from edgepress.sections import problems
from tests.classified import open_task

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "bring_your_model.md").read_text()


def block(section: str, language: str) -> str:
    """Return the only block of a language in a section of the page."""
    body = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", body, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def merged(section: str) -> dict[str, Any]:
    """Return params.yaml with what a section of the page writes into it."""
    text = merge((ROOT / "params.yaml").read_text(), yaml.safe_load(block(section, "yaml")), "page")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begun(tree: dict[str, Any]) -> str:
    """Return what is said when the network of `train` starts from its weights."""
    from edgepress.bundles.network import Blueprint, build
    from edgepress.bundles.weights import begin, given

    spec = validate(InputSpec, tree["input"], "params.yaml", "input")
    outputs = open_task(("a", "b")).learner.outputs(spec)
    train = tree["train"]
    network = build(Blueprint(train["backbone"], train["head"], spec, outputs))
    weights = given(train, "params.yaml", "train")
    assert weights is not None
    return f"train: weights {weights.path}: {begin(network, weights, 'params.yaml')[1]}\n"


def test_pictures_are_prepared_as_the_page_says() -> None:
    raw = yaml.safe_load(block("How its pictures were prepared", "yaml"))["input"]
    spec = validate(InputSpec, raw, "page", "input")
    assert (spec.shape, spec.resize, covered(spec)) == ((1, 3, 224, 224), "bicubic", (256, 256))


def test_weights_are_loaded_and_told_as_the_page_says() -> None:
    tree = merged("Weights")
    Path("models_of_others").mkdir()
    model = timm.create_model("resnet18")
    exec(compile(block("Weights", "python"), "page", "exec"), {"torch": torch, "model": model})
    assert problems(tree, "params.yaml") == []
    assert begun(tree) == block("Weights", "text")


def test_a_trained_model_alone_is_taken_as_the_page_says() -> None:
    tree = merged("A trained model only")
    model = timm.create_model("resnet18", num_classes=2)
    Path("models_of_others").mkdir()
    torch.save(model.state_dict(), "models_of_others/checkpoint.pth")
    assert problems(tree, "params.yaml") == []
    assert "left fresh" not in begun(tree)


def test_network_of_the_page_is_built_and_read_again_as_a_bundle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edgepress.bundles import bundle
    from edgepress.bundles.network import Blueprint, build

    section = "Your own network"
    monkeypatch.setattr("sys.path", list(sys.path))
    Path("nets").mkdir()
    Path("nets/small.py").write_text(block(section, "python"))
    tree = merged(section)
    assert problems(tree, "params.yaml") == []
    spec = validate(InputSpec, tree["input"], "params.yaml", "input")
    task = open_task(("a", "b"))
    entries = (tree["distill"]["backbone"], tree["distill"]["head"])
    network = build(Blueprint(*entries, spec, task.learner.outputs(spec)))
    bundle.save(Path("models/student"), network, bundle.Draft(task, *entries, spec, {}))
    record, again = bundle.load(Path("models/student"))
    assert record.backbone["entry"] == "nets.small:Net"
    images = torch.randn(spec.shape)
    assert torch.equal(again(images), network.eval()(images))


def test_onnx_file_is_taken_and_told_as_the_page_says() -> None:
    from edgepress.bundles.network import Blueprint, build

    section = "model.onnx alone"
    tree = merged(section)
    spec = validate(InputSpec, tree["input"], "params.yaml", "input")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["vector"]),
        helper.make_node("Flatten", ["vector"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    image = helper.make_tensor_value_info("x", 1, list(spec.shape))
    given = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(nodes, "g", [image], [given], [weight])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), "model.onnx")
    assert problems(tree, "params.yaml") == []
    outputs = open_task(("a", "b")).learner.outputs(spec)
    train = tree["train"]
    network = build(Blueprint(train["backbone"], train["head"], spec, outputs))
    origin = network.backbone.origin(torch.randn(32, *spec.shape[1:]))
    told = re.sub(r"at most [0-9.e+-]+ of", "at most N of", origin.told)
    assert f"train: {told}\n" == block(section, "text")


def test_dvc_reads_what_the_page_says_once_it_is_merged() -> None:
    from ruamel.yaml import YAML

    text = (ROOT / "params.yaml").read_text()
    after = merge(text, yaml.safe_load(block("Your own network", "yaml")), "page")
    assert YAML(typ="safe").load(after)["distill"]["backbone"]["entry"] == "nets.small:Net"
