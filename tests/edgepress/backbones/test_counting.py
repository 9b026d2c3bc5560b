from __future__ import annotations

import torch
from torch import nn

from edgepress.backbones import _counting


def test_macs_match_the_arithmetic_when_convolutions_are_grouped() -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), nn.Flatten(), nn.Linear(8 * 25, 10)
    )
    assert _counting.macs(network, (1, 4, 5, 5)) == 8 * 25 * 1 * 9 + 8 * 25 * 10


def test_macs_are_per_image_when_the_shape_is_a_batch() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert _counting.macs(network, (5, 1, 6, 6)) == _counting.macs(network, (1, 1, 6, 6))


def test_mode_is_kept_when_a_training_network_is_counted() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    _counting.macs(network, (1, 1, 6, 6))
    assert network.training
    assert torch.equal(network[1].running_mean, torch.zeros(2))
