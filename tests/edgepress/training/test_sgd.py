from __future__ import annotations

import torch
from torch import nn

from edgepress.training.sgd import Sgd

RATES = (0.0, 0.1, 0.05, 0.2)


def _network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 3))
    network[0].bias.requires_grad = False
    return network


def _descend(network: nn.Module, optimizer: Sgd | torch.optim.SGD, rate: float) -> None:
    images = torch.rand(8, 1, 5, 5, generator=torch.Generator().manual_seed(int(rate * 100)))
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(images), torch.arange(8) % 3).backward()
    if isinstance(optimizer, Sgd):
        optimizer.step(rate)
        return
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def test_weights_are_those_of_torchs_own_optimizer_when_rates_change() -> None:
    ours, theirs = _network(), _network()
    decaying = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim <= 1 and p.requires_grad]
    groups = [{"params": decaying, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizers = Sgd(ours, 0.01), torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    for rate in RATES:
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            _descend(network, optimizer, rate)
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)
    assert not torch.equal(ours[3].weight, _network()[3].weight)


def test_momentum_is_kept_for_what_moves_when_a_parameter_is_frozen() -> None:
    network = _network()
    optimizer = Sgd(network, 0.0)
    assert optimizer.momentum == {}
    _descend(network, optimizer, 0.1)
    assert len(optimizer.momentum) == 5
    assert network[0].bias not in optimizer.momentum
