from __future__ import annotations

import pytest
import torch

from edgepress.backbones import _counting
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from tests.classified import network


def _spec(side: int, channels: int) -> InputSpec:
    half = (0.5,) * channels
    return InputSpec(height=side, width=side, channels=channels, mean=half, std=half)


RESNET8 = {"method": "resnet_cifar", "depth": 8, "width": 4}


def test_counts_match_the_published_resnet20_when_rgb_and_ten_classes() -> None:
    made = network(_spec(32, 3), 10, {"method": "resnet_cifar", "depth": 20, "width": 16})
    assert _counting.parameters(made) == 272_474
    assert _counting.macs(made, (1, 3, 32, 32)) == 40_813_184


@pytest.mark.parametrize("side", [8, 16, 33])
def test_logits_have_one_column_per_class_when_the_side_changes(side: int) -> None:
    made = network(_spec(side, 1), 7, RESNET8).eval()
    assert made(torch.zeros(2, 1, side, side)).shape == (2, 7)


def test_features_are_three_maps_when_a_head_asks_for_maps() -> None:
    body = resolve("backbones", RESNET8, "params.yaml", "b")(_spec(16, 1), "maps")
    assert [(each.channels, each.reduction) for each in body.info] == [(4, 1), (8, 2), (16, 4)]
    shapes = [tuple(each.shape) for each in body(torch.zeros(2, 1, 16, 16))]
    assert shapes == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4)]


def test_build_is_refused_when_depth_is_not_6n_plus_2() -> None:
    with pytest.raises(UserError, match=r"params.yaml: b.depth: .*6n \+ 2.*\(got 9\)"):
        resolve("backbones", {**RESNET8, "depth": 9}, "params.yaml", "b")
