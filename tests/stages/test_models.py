"""What training says of its network before and after it has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import helper, numpy_helper

from edgepress.bundles import bundle
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval, Score
from edgepress.records.record import sha256_file
from edgepress.training.examples import Examples
from stages import models
from stages.models import warn_collapsed
from stages.stage import Stage
from tests.classified import open_task

INPUT = {"height": 16, "width": 16, "channels": 1, "mean": [0.5], "std": [0.5]}
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}


def score(better: str, low: float, high: float, constant: float | None) -> Score:
    value = Interval(value=(low + high) / 2, low=low, high=high)
    return Score.model_validate(
        {"name": "it", "better": better, "value": value, "constant": constant, "items": 20}
    )


@pytest.mark.parametrize(
    ("better", "low", "high", "constant"),
    [("higher", 0.8, 0.9, 0.5), ("lower", 0.02, 0.03, 0.75), ("higher", 0.1, 0.2, None)],
)
def test_nothing_is_said_when_a_score_is_surely_better_than_one_answer_for_all(
    better: str, low: float, high: float, constant: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_collapsed("train", (score(better, low, high, constant),))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("better", "low", "high", "constant"), [("higher", 0.4, 0.9, 0.5), ("lower", 0.5, 0.8, 0.75)]
)
def test_collapse_is_said_when_a_score_may_be_that_of_one_answer_for_all(
    better: str, low: float, high: float, constant: float, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_collapsed("train", (score(better, low, high, constant),))
    said = capsys.readouterr().err
    assert said.startswith("train: warning: collapsed: it 0.65 is not measurably better than")


@pytest.fixture
def splits() -> models.Splits:
    pixels = np.zeros((2, 16, 16, 1), np.uint8)
    examples = Examples(pixels, {"label": np.zeros(2)}, InputSpec.model_validate(INPUT))
    return models.Splits(examples, examples, examples, open_task(("a", "b")), ("0", "1"))


def staged(
    weights: dict[str, Any] | None,
    backbone: dict[str, Any] = BACKBONE,
    head: str = "linear",
) -> Stage:
    section = {"backbone": backbone, "head": {"method": head}, "weights": weights}
    tree = {"seed": 0, "input": INPUT, "task": {"method": "classification"}, "train": section}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    return Stage("train")


def test_network_starts_from_the_file_and_says_so_when_weights_are_given(
    splits: models.Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fresh, origin = models.begun(staged(None), "train", splits)
    assert (origin, capsys.readouterr().err) == ({}, "")
    state = {name: tensor + 1 for name, tensor in fresh.backbone.state_dict().items()}
    torch.save(state, "own.pth")
    stage = staged({"path": "own.pth"})
    network, origin = models.begun(stage, "train", splits)
    assert torch.equal(network.backbone.state_dict()["conv1.weight"], state["conv1.weight"])
    assert capsys.readouterr().err == (
        "train: weights own.pth: 45 of 45 tensors of the backbone by name; left fresh: head.fc\n"
    )
    digest = sha256_file(Path("own.pth"))
    assert origin == {"weights": digest}
    assert models.draft(stage, "train", splits.task, origin).lineage["weights"] == digest


def test_onnx_file_is_held_against_onnx_runtime_on_the_training_images(
    splits: models.Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    stage = staged(None, {"method": "onnx", "path": "model.onnx"}, "own")
    weight = numpy_helper.from_array(np.ones((2, 1, 16, 16), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["y"]),
    ]
    image = helper.make_tensor_value_info("x", 1, ["n", 1, 16, 16])
    logits = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(nodes, "g", [image], [logits], [weight])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), "model.onnx")
    network, origin = models.begun(stage, "train", splits)
    assert origin == {"onnx": sha256_file(Path("model.onnx"))}
    assert "train: model.onnx: 2 operators of opset 17; answers to 2 images as ONNX Runtime's" in (
        capsys.readouterr().err
    )
    draft = models.draft(stage, "train", splits.task, origin)
    assert bundle.save(Path("teacher"), network, draft).backbone["graph"]["steps"]
