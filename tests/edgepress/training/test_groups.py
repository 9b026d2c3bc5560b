from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from edgepress.backbones.features import in_order
from edgepress.bundles.network import Blueprint, Network, build
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.training.groups import grouped
from edgepress.training.recipe import Recipe
from tests.classified import open_task
from tests.parts import PARTS

SPEC = InputSpec(height=32, width=32, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
ENTRY = {
    "method": "supervised",
    **{"epochs": 1, "batch": 8, "learning_rate": 0.1, "weight_decay": 0.01, **PARTS},
    **{"label_smoothing": 0.0, "augment": "none", "precision": "fp32"},
}


def _recipe(**changes: Any) -> Recipe:
    found = resolve("training", {**ENTRY, **changes}, "test", "recipe").params
    assert isinstance(found, Recipe)
    return found


def _network(backbone: dict[str, Any]) -> Network:
    outputs = open_task(tuple("ab")).learner.outputs(SPEC)
    return build(Blueprint(backbone, {"method": "linear"}, SPEC, outputs))


def _rates(network: nn.Module, layer_decay: float | None) -> dict[str, float]:
    groups = grouped(network, _recipe(layer_decay=layer_decay))
    return {name: group.rate / 0.1 for group in groups for name in group.named}


def test_weights_decay_and_vectors_do_not_when_grouped() -> None:
    network = _network({"method": "resnet_cifar", "depth": 8, "width": 4})
    network.head.requires_grad_(False)
    decays, rest = grouped(network, _recipe())
    assert {p.ndim for p in decays.named.values()} == {4}
    assert {p.ndim for p in rest.named.values()} == {1}
    assert (decays.weight_decay, rest.weight_decay, decays.rate, rest.rate) == (0.01, 0, 0.1, 0.1)
    assert not any(name.startswith("head") for name in [*decays.named, *rest.named])


def test_rates_fall_from_the_head_to_the_input_when_layers_decay() -> None:
    network = _network({"method": "resnet_cifar", "depth": 8, "width": 4})
    rates = _rates(network, 0.5)
    assert set(rates) == {name for name, _ in network.named_parameters()}
    assert rates["head.fc.weight"] == rates["head.fc.bias"] == 1
    assert rates["backbone.stage3.0.conv1.weight"] == rates["backbone.stage3.0.bn2.bias"] == 0.5
    assert rates["backbone.stage1.0.conv1.weight"] == pytest.approx(0.125)
    assert rates["backbone.conv1.weight"] == rates["backbone.bn1.weight"] == pytest.approx(0.0625)
    assert set(_rates(network, None).values()) == {1.0}


def test_layers_are_timms_own_when_its_model_numbers_them() -> None:
    rates = _rates(
        _network({"method": "timm", "model": "test_vit", "arguments": {"img_size": 32}}), 0.5
    )
    place = "backbone.model."
    assert rates["head.fc.weight"] == 1
    blocks = [rates[f"{place}blocks.{i}.attn.qkv.weight"] for i in range(6)]
    assert blocks == pytest.approx([0.5 * blocks[i + 1] for i in range(5)] + [blocks[5]])
    assert rates[f"{place}pos_embed"] == rates[f"{place}patch_embed.proj.weight"] < blocks[0]


def test_depth_counts_parts_with_matrices_when_a_network_has_no_backbone() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Sequential(nn.Flatten(), nn.Linear(2, 2)),
    )
    assert in_order(network) == {
        **{"0.weight": 0, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.1.weight": 1, "3.1.bias": 1}
    }
    assert _rates(network, 0.5)["3.1.weight"] == 1
    assert _rates(network, 0.5)["0.weight"] == 0.5
