"""Every head on a small backbone: the outputs asked for, at any size, in one graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgepress.backbones.features import FeatureInfo
from edgepress.bundles.network import Blueprint, build
from edgepress.errors import UserError
from edgepress.heads import decoupled
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task

BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
MASKS: dict[str, dict[str, Any]] = {
    "unet": {"method": "unet", "width": 8},
    "lraspp": {"method": "lraspp", "width": 8, "fine": 2, "coarse": 4},
    "smp": {"method": "smp", "architecture": "FPN", "options": {}},
}


def spec(height: int, width: int) -> InputSpec:
    return InputSpec(height=height, width=width, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def network(head: dict[str, Any], size: tuple[int, int], task: dict[str, Any]) -> torch.nn.Module:
    outputs = Task.open(task, ("a", "b", "c"), "test").learner.outputs(spec(*size))
    return build(Blueprint(BACKBONE, head, spec(*size), outputs)).eval()


SEGMENTATION = {"method": "segmentation", "ignore_index": None, "argmax": False}


@pytest.mark.parametrize("size", [(32, 32), (48, 33)])
@pytest.mark.parametrize("name", ["unet", "lraspp"])
def test_masks_are_as_large_as_the_input(name: str, size: tuple[int, int]) -> None:
    found = network(MASKS[name], size, SEGMENTATION)(torch.zeros(2, 3, *size))
    assert found.shape == (2, 3, *size)


@pytest.mark.parametrize("name", ["unet", "lraspp"])
def test_every_weight_learns_when_a_pixel_is_wrong(name: str) -> None:
    made = network(MASKS[name], (32, 32), SEGMENTATION).train()
    torch.manual_seed(0)
    made(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None] == []


def test_head_that_cannot_give_the_outputs_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"head: gives logits \(1, 3\), the task asks for"):
        network({"method": "linear"}, (32, 32), SEGMENTATION)
    with pytest.raises(UserError, match="head: .*choose another head"):
        network(MASKS["unet"], (32, 32), {"method": "classification"})


DETECTION = {
    "method": "detection",
    "strides": [4, 8],
    "most_objects": 5,
    "most_answers": 10,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.3,
}
DECOUPLED = {"method": "decoupled", "width": 8, "depth": 1}


@pytest.mark.parametrize("size", [(32, 32), (48, 33)])
def test_maps_have_their_strides_when_boxes_are_looked_for(size: tuple[int, int]) -> None:
    found = network(DECOUPLED, size, DETECTION)(torch.zeros(2, 3, *size))
    shapes = [
        (2, channels, -(-size[0] // s), -(-size[1] // s)) for s in (4, 8) for channels in (4, 3)
    ]
    assert [tuple(each.shape) for each in found] == shapes


def test_no_place_is_sure_before_training_when_boxes_are_looked_for() -> None:
    found = network(DECOUPLED, (32, 32), DETECTION)(torch.randn(2, 3, 32, 32))
    assert all(float(found[index].detach().sigmoid().max()) < 0.05 for index in (1, 3))


def test_every_weight_learns_when_a_box_is_wrong() -> None:
    made = network(DECOUPLED, (32, 32), DETECTION).train()
    sum(each.square().sum() for each in made(torch.randn(4, 3, 32, 32))).backward()
    assert [n for n, p in made.named_parameters() if p.grad is None] == []


def test_stride_finer_than_the_backbones_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"no map of stride 8, it has 4, 16.*choose other strides"):
        decoupled.build(
            (FeatureInfo(8, 4), FeatureInfo(8, 16)),
            Task.open({**DETECTION, "strides": [4, 8, 16]}, ("a",), "t").answers.outputs(
                spec(32, 32)
            ),
            spec(32, 32),
            params=decoupled.Params(**DECOUPLED),
        )
