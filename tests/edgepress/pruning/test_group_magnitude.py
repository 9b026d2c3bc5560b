from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from edgepress.backbones import _counting
from edgepress.bundles import surgery
from edgepress.bundles.network import Blueprint, build
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.pruning import group_magnitude
from edgepress.pruning.slimmed import Slimmed
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import network, open_task
from tests.parts import PARTS

TASK = open_task(tuple("0123456789"))
METHOD = {
    "method": "group_magnitude",
    "ratio": 0.5,
    "round_to": 4,
    "scope": "uniform",
    "epochs": 1,
    "batch": 50,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    **PARTS,
    "augment": "none",
    "precision": "fp32",
}
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))


@pytest.fixture(scope="module")
def examples() -> Examples:
    data = load_digits()
    pixels = (data.images[:200, ..., None] * 15.9).astype(np.uint8)
    return Examples(pixels, {"label": data.target[:200].astype(np.int64)}, SPEC)


def _student(model: dict[str, object] | None = None, spec: InputSpec = SPEC) -> nn.Module:
    torch.manual_seed(0)
    return network(spec, 10, model or {"method": "resnet_cifar", "depth": 8, "width": 16})


def _slim(student: nn.Module, examples: Examples, **changes: object) -> Slimmed:
    method = resolve("pruning", {**METHOD, **changes}, "params.yaml", "slim")
    slimmed: Slimmed = method(Job(student, examples, examples, 0, TASK))
    return slimmed


def test_macs_and_parameters_fall_to_about_a_quarter_when_half_the_channels_leave(
    examples: Examples,
) -> None:
    before = _student()
    slimmed = _slim(copy.deepcopy(before), examples)
    ratio = _counting.macs(slimmed.network, SPEC.shape) / _counting.macs(before, SPEC.shape)
    assert 0.2 < ratio < 0.35
    assert _counting.parameters(slimmed.network) < 0.35 * _counting.parameters(before)


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_channels_are_multiples_when_rounding_is_asked_for(examples: Examples, scope: str) -> None:
    slimmed = _slim(_student(), examples, round_to=8, scope=scope, ratio=0.4)
    widths = {m.out_channels for m in slimmed.network.modules() if isinstance(m, nn.Conv2d)}
    assert all(width % 8 == 0 for width in widths), widths


def test_a_fresh_network_takes_the_weights_when_surgery_is_replayed(examples: Examples) -> None:
    slimmed = _slim(_student(), examples)
    fresh = _student()
    surgery.replay(fresh, slimmed.surgery)
    fresh.load_state_dict(slimmed.network.state_dict())
    sample = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(fresh.eval()(sample), slimmed.network.eval()(sample))


def test_weak_channels_leave_first_when_some_are_near_zero(examples: Examples) -> None:
    student = _student()
    weak = torch.arange(0, 16, 2)
    with torch.no_grad():
        conv = student.backbone.stage1[0].conv1
        strong = conv.weight[1::2].clone()
        conv.weight[weak] *= 1e-4
        student.backbone.stage1[0].bn1.weight[weak] = 1e-4
        student.backbone.stage1[0].conv2.weight[:, weak] *= 1e-4
    slimmed = _slim(student, examples, learning_rate=1e-9)
    kept = slimmed.network.backbone.stage1[0].conv1.weight
    assert kept.shape == strong.shape[:1] + kept.shape[1:]
    assert float(kept.detach().abs().amax((1, 2, 3)).min()) > 1e-2


@pytest.mark.parametrize("model", ["mobilenetv3_small_050", "test_resnet"])
def test_timm_networks_are_pruned_when_named(examples: Examples, model: str) -> None:
    raw = {"method": "timm", "model": model}
    pixels = np.repeat(np.repeat(examples.pixels[:60], 4, 1), 4, 2)
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.35,))
    larger = Examples(pixels, {"label": examples.truth["label"][:60]}, spec)
    before = _student(raw, spec)
    parameters = _counting.parameters(before)
    slimmed = _slim(before, larger, batch=20)
    assert _counting.parameters(slimmed.network) < 0.7 * parameters
    fresh = _student(raw, spec)
    surgery.replay(fresh, slimmed.surgery)
    fresh.load_state_dict(slimmed.network.state_dict())
    sample = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fresh.eval()(sample), slimmed.network.eval()(sample))


def test_slimming_is_refused_when_rounding_keeps_every_channel(examples: Examples) -> None:
    with pytest.raises(UserError, match="removes nothing"):
        _slim(_student(), examples, ratio=0.05, round_to=64)


def test_the_student_is_untouched_when_the_method_is_none(examples: Examples) -> None:
    student = _student()
    method = resolve("pruning", {"method": "none"}, "params.yaml", "slim")
    slimmed = method(Job(student, examples, examples, 0, TASK))
    assert slimmed.network is student
    assert slimmed.surgery == ()


@pytest.mark.parametrize(("ratio", "round_to"), [(0.99, 1), (0.9, 8)])
def test_line_says_the_ratio_is_too_high_when_no_channel_would_be_left(
    examples: Examples, ratio: float, round_to: int
) -> None:
    with pytest.raises(UserError, match="is too high.*lower ratio"):
        _slim(_student(), examples, ratio=ratio, round_to=round_to)


def test_network_is_refused_before_the_fine_tuning_when_it_cannot_be_cut(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = {"method": "timm", "model": "test_vit"}
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.35,))
    pixels = np.repeat(np.repeat(examples.pixels[:60], 4, 1), 4, 2)
    larger = Examples(pixels, {"label": examples.truth["label"][:60]}, spec)
    monkeypatch.setattr(group_magnitude, "fit", lambda *parts: pytest.fail("it was fine-tuned"))
    with pytest.raises(UserError, match=r"set slim: \{method: none\}") as refused:
        _slim(_student(raw, spec), larger, batch=20)
    assert "\n" not in str(refused.value)


def test_cut_is_given_up_when_it_never_ends(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*parts: object) -> None:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(group_magnitude, "LIMIT_S", 0.2)
    monkeypatch.setattr(group_magnitude, "_cut", endless)
    with pytest.raises(UserError, match="no end of its dependency graph"):
        _slim(_student(), examples)


@pytest.mark.parametrize("model", ["test_convnext", "test_byobnet", "test_efficientnet"])
def test_cut_network_comes_back_from_its_record_when_of_another_family(
    examples: Examples, model: str
) -> None:
    raw = {"method": "timm", "model": model}
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.35,))
    pixels = np.repeat(np.repeat(examples.pixels[:40], 4, 1), 4, 2)
    larger = Examples(pixels, {"label": examples.truth["label"][:40]}, spec)
    slimmed = _slim(_student(raw, spec), larger, batch=20)
    fresh = _student(raw, spec)
    surgery.replay(fresh, slimmed.surgery)
    fresh.load_state_dict(slimmed.network.state_dict())
    sample = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fresh.eval()(sample), slimmed.network.eval()(sample))


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ({"form": "heatmap", "stride": 2}, {"method": "heatmap", "width": 16}),
        ({"form": "simcc", "stride": 0.5}, {"method": "simcc", "kernel": 3}),
    ],
    ids=["maps", "rows of bins"],
)
def test_outputs_of_points_stay_whole_when_channels_leave(
    form: dict[str, object], head: dict[str, object]
) -> None:
    points = {"points": ["a", "b", "c"], "swaps": [], "sigmas": 0.05, "tolerance": 0.1}
    entry = {"method": "keypoints", **points, "sure": 0.5, "blur": 2.0, **form}
    task = Task.open(entry, ("a",), "test")
    spec = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
    outputs = task.learner.outputs(spec)
    backbone = {"method": "resnet_cifar", "depth": 8, "width": 16}
    student = build(Blueprint(backbone, head, spec, outputs))
    rng = np.random.default_rng(0)
    truth = {
        "points": rng.uniform(2, 14, (20, 3, 2)).astype(np.float32),
        "visible": np.full((20, 3), 2, np.int8),
    }
    pixels = rng.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    method = resolve("pruning", {**METHOD, "batch": 10}, "params.yaml", "slim")
    slimmed = method(Job(student, Examples(pixels, truth, spec), None, 0, task))
    found = slimmed.network.eval()(torch.zeros(1, 1, 16, 16))
    shapes = [tuple(each.shape) for each in (found if isinstance(found, tuple) else (found,))]
    assert shapes == [output.shape for output in outputs]
    assert {step.module for step in slimmed.surgery} & {"backbone.conv1"}
