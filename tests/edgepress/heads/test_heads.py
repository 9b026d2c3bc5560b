"""Every head on a small backbone: the outputs asked for, at any size, in one graph."""

from __future__ import annotations

import math
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


POINTS = {
    **{"method": "keypoints", "points": ["a", "b", "c", "d"], "swaps": [], "sigmas": 0.05},
    **{"tolerance": 0.1, "sure": 0.5, "blur": 2.0},
}
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "coarse": ({"form": "heatmap", "stride": 4}, {"method": "heatmap", "width": 8}),
    "fine": ({"form": "heatmap", "stride": 2}, {"method": "heatmap", "width": 8}),
    "finest": ({"form": "heatmap", "stride": 1}, {"method": "heatmap", "width": 8}),
    "unet": ({"form": "heatmap", "stride": 1}, {"method": "unet", "width": 8}),
    "coarse unet": ({"form": "heatmap", "stride": 2}, {"method": "unet", "width": 8}),
    "simcc": ({"form": "simcc", "stride": 0.5}, {"method": "simcc", "kernel": 3}),
}


@pytest.mark.parametrize("size", [(32, 32), (48, 33)])
@pytest.mark.parametrize("name", FORMS)
def test_points_have_maps_or_bins_of_the_stride(name: str, size: tuple[int, int]) -> None:
    form, head = FORMS[name]
    found = network(head, size, {**POINTS, **form})(torch.zeros(2, 3, *size))
    steps = [math.ceil(side / form["stride"]) for side in size]
    if form["form"] == "heatmap":
        assert found.shape == (2, 4, *steps)
    else:
        assert [each.shape for each in found] == [(2, 4, steps[1]), (2, 4, steps[0])]


@pytest.mark.parametrize("name", FORMS)
def test_every_weight_learns_when_points_are_wrong(name: str) -> None:
    form, head = FORMS[name]
    made = network(head, (32, 32), {**POINTS, **form}).train()
    torch.manual_seed(0)
    found = made(torch.randn(4, 3, 32, 32))
    sum(each.square().sum() for each in (found if isinstance(found, tuple) else [found])).backward()
    assert [n for n, p in made.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["fine", "coarse unet"])
def test_maps_of_points_say_nothing_is_there_before_training(name: str) -> None:
    form, head = FORMS[name]
    found = network(head, (32, 32), {**POINTS, **form})(torch.zeros(1, 3, 32, 32))
    assert (found.sigmoid() < 0.1).all()


@pytest.mark.parametrize(
    ("form", "head", "words"),
    [
        ("coarse", {"method": "simcc", "kernel": 1}, "head simcc: gives rows of bins"),
        ("simcc", {"method": "heatmap", "width": 8}, "head heatmap: gives one output"),
        ("coarse", {"method": "simcc", "kernel": 2}, "kernel must be odd"),
    ],
)
def test_head_of_points_is_refused_when_the_form_is_another(
    form: str, head: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        network(head, (32, 32), {**POINTS, **FORMS[form][0]})


@pytest.mark.parametrize("method", ["heatmap", "unet"])
def test_stride_coarser_than_the_backbone_is_refused(method: str) -> None:
    with pytest.raises(UserError, match="a stride of 8, the backbone's coarsest map has 4"):
        network(
            {"method": method, "width": 8},
            (32, 32),
            {**POINTS, "form": "heatmap", "stride": 8},
        )


def test_head_that_cannot_give_the_outputs_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"head: gives logits \(1, 3\), the task asks for"):
        network({"method": "linear"}, (32, 32), SEGMENTATION)
    with pytest.raises(UserError, match="head unet: gives one output of maps.*choose another head"):
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


CODES = {"method": "default_boxes", "ratios": [2], "least": 0.2, "most": 0.6}
FLOAT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **{name: (SEGMENTATION, MASKS[name]) for name in ("unet", "lraspp")},
    **{name: ({**POINTS, **FORMS[name][0]}, FORMS[name][1]) for name in ("fine", "simcc")},
    "decoupled": (DETECTION, DECOUPLED),
    "ssdlite": ({**DETECTION, "coding": CODES}, {"method": "ssdlite", "width": 16}),
    "linear": ({"method": "classification"}, {"method": "linear"}),
}


@pytest.mark.parametrize("name", FLOAT)
def test_layers_that_stay_float_are_those_that_give_the_outputs(name: str) -> None:
    task, head = FLOAT[name]
    made: Any = network(head, (32, 32), task)
    outputs = made(torch.zeros(1, 3, 32, 32))
    channels = [
        each.shape[-1 if name == "simcc" else 1]
        for each in (outputs if isinstance(outputs, tuple) else [outputs])
    ]
    given = [len(made.get_submodule(layer).weight) for layer in made.float_layers]
    counted = {"linear": [], "lraspp": 2 * channels}.get(name, channels)
    assert given == counted
