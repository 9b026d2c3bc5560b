"""SSDLite: it learns digit scenes, and is cut, taught, quantized and exported like other heads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgepress.backbones import _counting
from edgepress.bundles.network import named
from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.pruning.slimmed import Slimmed
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task, joined
from edgepress.training.answering import scores
from edgepress.training.loop import Job
from tests import scenes
from tests.parts import PARTS

HEAD = {"method": "ssdlite", "width": 16}
TASK = scenes.TASKS["default_boxes"]
NAMES = tuple(each.name for each in TASK.answers.outputs(scenes.SPEC))


@pytest.fixture(scope="module")
def learnt() -> nn.Module:
    return scenes.learnt(TASK, HEAD, 100)


def precision(network: nn.Module, task: Task = TASK) -> float:
    found = scores(network, scenes.examples()[1], task)
    return next(each.value.value for each in found if each.name == "mean_ap_50")


def test_digits_are_found_when_learnt_for_a_moment(learnt: nn.Module) -> None:
    assert precision(learnt) > 0.45


def test_the_head_learns_another_coding_too() -> None:
    task = scenes.TASKS["distances"]
    assert precision(scenes.learnt(task, HEAD, 60), task) > 0.2


@pytest.mark.parametrize("size", [(64, 64), (48, 33)])
def test_maps_go_on_where_the_backbone_ends(size: tuple[int, int]) -> None:
    spec = InputSpec(height=size[0], width=size[1], channels=1, mean=(0.3,), std=(0.35,))
    coding = {**scenes.CODING, "ratios": [2.0, 3.0]}
    entry = {**scenes.ENTRY, "strides": [2, 4, 8, 16], "coding": coding}
    task = Task.open(entry, scenes.CLASSES, "test")
    made = scenes.network(task, HEAD, spec).train()
    found = made(torch.randn(4, 1, *size))
    shapes = [
        (4, 6 * each, -(-size[0] // s), -(-size[1] // s)) for s in (2, 4, 8, 16) for each in (4, 4)
    ]
    assert [tuple(each.shape) for each in found] == shapes
    assert len(made.head.extra) == 2  # type: ignore[union-attr, arg-type]
    sum(each.square().sum() for each in found).backward()
    assert [n for n, p in made.named_parameters() if p.grad is None] == []


def test_every_default_box_doubts_each_class_alike_before_training() -> None:
    raw = named(scenes.network(TASK, HEAD).eval()(torch.zeros(1, 1, 32, 32)), NAMES)
    logits = raw["scores_4"].detach().reshape(1, 4, 4, -1)
    assert float(logits.softmax(2).max()) < 0.4


def test_answers_are_near_when_the_channels_under_the_head_are_cut(learnt: nn.Module) -> None:
    entry = {
        **{"method": "group_magnitude", "ratio": 0.25, "round_to": 4, "scope": "uniform"},
        **{"epochs": 2, "batch": 16, "learning_rate": 0.02, "weight_decay": 0.0, **PARTS},
        **{"augment": "none", "precision": "fp32"},
    }
    method = resolve("pruning", entry, "params.yaml", "slim")
    slimmed: Slimmed = method(Job(copy.deepcopy(learnt), *scenes.examples(), 0, TASK))
    counts = [_counting.macs(each, scenes.SPEC.shape) for each in (slimmed.network, learnt)]
    assert counts[0] < 0.8 * counts[1]
    assert precision(slimmed.network) > 0.3


def test_student_comes_near_its_teacher_when_no_label_is_seen(learnt: nn.Module) -> None:
    inputs = torch.from_numpy(normalise(scenes.examples()[0].pixels[:64], scenes.SPEC))
    student = copy.deepcopy(learnt)
    with torch.no_grad():
        target = named(learnt(inputs), NAMES)
        for weight in student.head.parameters():  # type: ignore[union-attr]
            weight.mul_(0.9)
    optimizer = torch.optim.Adam(student.head.parameters(), 0.003)  # type: ignore[union-attr]
    far = []
    for _ in range(12):
        loss = TASK.learner.divergence(named(student(inputs), NAMES), target, 2.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        far.append(float(loss.detach()))
    assert far[-1] < 0.5 * far[0]


@pytest.mark.parametrize(
    ("key", "least"), [("x86_64-onnxruntime-fp32", 0.9999), ("x86_64-onnxruntime-int8", 0.8)]
)
def test_file_answers_as_the_network_when_exported(
    learnt: nn.Module, tmp_path: Path, key: str, least: float
) -> None:
    job = scenes.job(TASK, learnt, HEAD, tmp_path / "out", key)
    exported = resolve("export", {"method": "onnx", "opset": 18}, "test", "export")(job)
    runtime = resolve("runtimes", {"method": "onnxruntime", "threads": 1}, "test", "runtime")
    session = runtime(tmp_path / "out", exported)
    images = normalise(scenes.examples()[1].pixels[:40], scenes.SPEC)
    found: list[dict[str, Any]] = [session.run({"image": image[None]}) for image in images]
    with torch.inference_mode():
        raw = {n: v.numpy() for n, v in named(learnt(torch.from_numpy(images)), NAMES).items()}
    theirs = joined(found)
    if least > 0.99:
        assert all(np.allclose(theirs[name], raw[name], atol=1e-3) for name in NAMES)
    ours, floats = (TASK.answers.decode(each, scenes.SPEC) for each in (theirs, raw))
    assert TASK.answers.agreement(ours, floats).mean() >= least


def test_stride_that_the_backbone_skips_is_refused_in_one_line() -> None:
    task = Task.open({**scenes.ENTRY, "strides": [8, 16], "coding": scenes.CODING}, ("a",), "test")
    with pytest.raises(
        UserError,
        match=r"head ssdlite: the backbone has no map of stride 8, it has 1, 2, 4; choose",
    ):
        scenes.network(task, HEAD)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"width": 4}, r"params.yaml: train.head.width: .*greater than or equal to 8 \(got 4\)"),
        ({"depth": 2}, "train.head.depth: unknown key; known: method, width"),
    ],
)
def test_params_are_refused_in_one_line(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        resolve("heads", {**HEAD, **changed}, "params.yaml", "train.head")
