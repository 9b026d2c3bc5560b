from __future__ import annotations

import pytest
import torch

from edgepress.backbones import counting
from edgepress.errors import UserError
from edgepress.methods import resolve


def _build(depth: int, width: int, channels: int, classes: int) -> torch.nn.Module:
    raw = {"method": "resnet_cifar", "depth": depth, "width": width}
    network: torch.nn.Module = resolve("backbones", raw, "params.yaml", "b")(channels, classes)
    return network


def test_counts_match_the_published_resnet20_when_rgb_and_ten_classes() -> None:
    network = _build(20, 16, 3, 10)
    assert counting.parameters(network) == 272_474
    assert counting.macs(network, (1, 3, 32, 32)) == 40_813_184


@pytest.mark.parametrize("side", [8, 16, 33])
def test_logits_have_one_column_per_class_when_the_side_changes(side: int) -> None:
    network = _build(8, 4, 1, 7).eval()
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 7)


def test_build_is_refused_when_depth_is_not_6n_plus_2() -> None:
    with pytest.raises(UserError, match=r"params.yaml: b.depth: .*6n \+ 2.*\(got 9\)"):
        _build(9, 4, 1, 7)
