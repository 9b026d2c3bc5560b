"""A model with a head of its own: its outputs are the task's, and stay whole when it is cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepress.bundles import bundle
from edgepress.bundles.network import Blueprint, Network, build
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import open_task
from tests.parts import PARTS

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.5,), std=(0.5,))
CLASSES = ("a", "b", "c")
FILE = "users_own_head"
HEAD = {"method": "own"}
NET = """
import torch
from torch import nn

class Whole(nn.Module):
    def __init__(self, classes=3, width=8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 16, 3)
        )
        self.classifier = nn.Linear(16, classes)
    def forward(self, x):
        return self.classifier(self.body(x).mean((2, 3)))

class Pair(Whole):
    def forward(self, x):
        found = super().forward(x)
        return {"y": found + 1, "x": found}
"""


@pytest.fixture(autouse=True)
def _written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, FILE, raising=False)
    Path(f"{FILE}.py").write_text(NET)


def entry(name: str = "Whole", **arguments: int) -> dict[str, Any]:
    return {"method": "module", "entry": f"{FILE}:{name}", "arguments": arguments}


def network(backbone: dict[str, Any], *names: str, guessed: bool = False) -> Network:
    outputs = [TensorSpec(name=name, shape=(1, 3), layout="NC") for name in names or ("logits",)]
    return build(Blueprint(backbone, HEAD, SPEC, tuple(outputs), guessed=guessed))


def test_outputs_are_the_models_own_and_a_mapping_is_put_in_order() -> None:
    images = torch.randn(2, 1, 16, 16)
    one = network(entry()).eval()
    assert torch.equal(one(images), one.backbone.model(images))
    two = network(entry("Pair"), "x", "y").eval()
    first, second = two(images)
    assert torch.allclose(second, first + 1)


def test_outputs_are_refused_when_the_task_asks_for_others() -> None:
    with pytest.raises(UserError, match=r"gives logits \(1, 5\), the task asks for \(1, 3\)"):
        network(entry(classes=5))
    assert network(entry(classes=5), guessed=True)
    with pytest.raises(UserError, match="own cannot take the features of module: 'logits'"):
        network(entry("Pair"))


def test_backbone_is_refused_when_it_has_no_outputs_of_its_own() -> None:
    with pytest.raises(
        UserError, match=r"train.head: own is for a model that gives the task's out"
    ):
        network({"method": "resnet_cifar", "depth": 8, "width": 8})


def test_bundle_of_a_cut_model_answers_alike_when_it_is_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = open_task(CLASSES)
    ours = network(entry())
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 1), np.uint8)
    examples = Examples(pixels, {"label": np.arange(8) % 3}, SPEC)
    raw = {
        "method": "group_magnitude", "ratio": 0.5, "round_to": 2, "scope": "uniform", "epochs": 1,
        "batch": 4, "learning_rate": 0.01, "weight_decay": 0.0, "augment": "none",
        "precision": "fp32", **PARTS,
    }  # fmt: skip
    cut = resolve("pruning", raw, "params.yaml", "slim")(Job(ours, examples, None, 0, task))
    assert cut.network.backbone.model.body[0].out_channels == 4
    assert cut.network.backbone.model.classifier.out_features == 3
    draft = bundle.Draft(task, entry(), HEAD, SPEC, {}, cut.surgery)
    bundle.save(tmp_path / "slim", cut.network, draft)
    _, again = bundle.load(tmp_path / "slim")
    images = torch.randn(2, 1, 16, 16)
    assert torch.allclose(again(images), cut.network.eval()(images), atol=1e-6)


def test_bundle_is_refused_in_one_line_when_its_file_is_gone(tmp_path: Path) -> None:
    draft = bundle.Draft(open_task(CLASSES), entry(), HEAD, SPEC, {})
    bundle.save(tmp_path / "whole", network(entry()), draft)
    record = json.loads((tmp_path / "whole/model.json").read_text())
    assert record["backbone"]["entry"] == f"{FILE}:Whole"
    Path(f"{FILE}.py").unlink()
    with pytest.raises(
        UserError, match=f"model.json: backbone: .*there is no {FILE}.py in the wor"
    ):
        bundle.load(tmp_path / "whole")
