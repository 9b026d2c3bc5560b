"""Every preset merges and holds; `digits` is params.yaml as committed, to the byte."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
import timm
import torch
import yaml
from onnx import helper

from edgepress.commands.preset import led_back, merge
from edgepress.params import read_yaml
from edgepress.sections import problems

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text()
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what presets for a user's own model name."""
    root = tmp_path_factory.mktemp("project")
    (root / "nets").mkdir()
    (root / "nets" / "model.py").write_text(NET)
    torch.save(timm.create_model("resnet18", num_classes=2).state_dict(), root / "checkpoint.pth")
    image = helper.make_tensor_value_info("x", 1, ["n", 3, 224, 224])
    logits = helper.make_tensor_value_info("y", 1, None)
    pool = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([pool], "pooled", [image], [logits])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, str(root / "model.onnx"))
    return root


@pytest.fixture(autouse=True)
def _in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr("sys.path", list(sys.path))


def merged(text: str, name: str) -> str:
    path = ROOT / "presets" / f"{name}.yaml"
    default = read_yaml(ROOT / "presets" / "digits.yaml")
    return merge(led_back(text, read_yaml(path), default), read_yaml(path), str(path))


def test_shipped_presets_are_there_when_listed() -> None:
    assert {"digits", "cifar10", "folder", "module", "given", "onnx"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_holds_when_merged(name: str) -> None:
    assert problems(yaml.safe_load(merged(PARAMS, name)), name) == []


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "digits"])
def test_preset_changes_something_when_merged(name: str) -> None:
    assert yaml.safe_load(merged(PARAMS, name)) != yaml.safe_load(PARAMS)


def test_digits_is_the_committed_file_to_the_byte_when_merged() -> None:
    assert merged(PARAMS, "digits") == PARAMS


@pytest.mark.parametrize("name", PRESETS)
def test_digits_leads_back_when_another_preset_was_written(name: str) -> None:
    assert yaml.safe_load(merged(merged(PARAMS, name), "digits")) == yaml.safe_load(PARAMS)


@pytest.mark.parametrize("before", ["folder", "onnx"])
def test_entries_are_the_presets_own_when_one_of_other_methods_was_written(before: str) -> None:
    after = merged(merged(PARAMS, before), "bccd")
    direct = merged(PARAMS, "bccd")
    for key in ("embed", "curate", "train", "distill", "slim"):
        assert yaml.safe_load(after)[key] == yaml.safe_load(direct)[key]


@pytest.mark.parametrize(
    ("name", "file"),
    [("onnx", "model.onnx"), ("given", "checkpoint.pth"), ("module", "nets/model.py")],
)
def test_preset_is_refused_before_anything_runs_when_the_users_file_is_missing(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = problems(yaml.safe_load(merged(PARAMS, name)), "params.yaml")
    assert found
    assert all(line.startswith("params.yaml: ") and file in line for line in found), found
