"""Every head on a small backbone: the outputs asked for, at any size, in one graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgepress.bundles.network import Blueprint, build
from edgepress.errors import UserError
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
