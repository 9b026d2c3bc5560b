"""SGD, AdamW and Muon end with the weights of torch's classes of the same name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

SHARES = (0.1, 0.5, 1.0, 0.3)


def _sgd(nesterov: bool) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    return lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=nesterov)


CASES = {
    "sgd": ({}, _sgd(True)),
    "sgd plain": ({"nesterov": False}, _sgd(False)),
    "adamw": ({}, lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.999))),
    "adamw, other betas": (
        {"betas": [0.5, 0.9], "eps": 0.1},
        lambda groups: torch.optim.AdamW(groups, betas=(0.5, 0.9), eps=0.1),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_weights_are_those_of_torchs_class_when_rates_change(bench: Any, case: str) -> None:
    changes, theirs = CASES[case]
    ours, other = bench.network(), bench.network()
    entry = {**bench.entries[case.split(",")[0].split()[0]], **changes}
    mine = bench.build(ours, entry)
    learnt = [p for p in other.parameters() if p.requires_grad]
    torchs = theirs(
        [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": bench.decay},
            {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    for seed, share in enumerate(SHARES):
        bench.descend(ours, lambda share=share: mine.step(share), seed)
        for group in torchs.param_groups:
            group["lr"] = bench.rate * share
        bench.descend(other, torchs.step, seed)
    assert bench.same(ours, other)
    assert not bench.same(ours, bench.network())


def test_muon_moves_matrices_as_torchs_class_and_the_rest_as_adamw(bench: Any) -> None:
    ours, other = bench.network(), bench.network()
    mine = bench.build(ours, bench.entries["muon"])
    matrix = other[3].weight
    muon = torch.optim.Muon(
        [matrix], momentum=0.95, weight_decay=bench.decay, adjust_lr_fn="match_rms_adamw"
    )
    vectors = [p for p in other.parameters() if p.ndim <= 1 and p.requires_grad]
    adamw = torch.optim.AdamW(vectors, betas=(0.9, 0.95), weight_decay=0.0)
    for each in (muon, adamw):
        each.param_groups[0]["lr"] = bench.rate
    bench.descend(ours, lambda: mine.step(1.0), 0)
    bench.descend(other, lambda: (muon.step(), adamw.step()), 0)
    for name in ("3.weight", "3.bias", "1.weight", "1.bias"):
        assert torch.equal(ours.get_parameter(name), other.get_parameter(name)), name
    assert not torch.equal(ours[0].weight, other[0].weight)


def test_muon_makes_a_convolutions_step_nearly_orthogonal_when_it_lies_channels_last(
    bench: Any,
) -> None:
    network = bench.network()
    before = network[0].weight.detach().clone()
    optimizer = bench.build(network, bench.entries["muon"])
    bench.descend(network, lambda: optimizer.step(1.0), 0)
    step = (before * (1 - bench.rate * bench.decay) - network[0].weight.detach()).flatten(1)
    sizes = torch.linalg.svdvals(step / (bench.rate * 0.2 * math.sqrt(18)))
    assert sizes.min() > 0.5
    assert sizes.max() < 1.5


def test_lion_steps_by_the_sign_of_the_mean_gradient_when_the_papers_formula_is_followed(
    bench: Any,
) -> None:
    network = bench.network()
    optimizer = bench.build(network, bench.entries["lion"])
    weight: nn.Parameter = network[3].weight
    expected, mean = weight.detach().clone(), torch.zeros_like(weight)
    for seed, share in enumerate(SHARES):
        bench.descend(network, lambda share=share: optimizer.step(share), seed)
        assert weight.grad is not None
        rate = bench.rate * share
        way = (0.9 * mean + (1 - 0.9) * weight.grad).sign()
        expected = expected - rate * (way + bench.decay * expected)
        mean = 0.99 * mean + (1 - 0.99) * weight.grad
        torch.testing.assert_close(weight.detach(), expected, atol=1e-7, rtol=1e-5)
