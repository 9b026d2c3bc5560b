"""A network that is given stays what it is."""

from __future__ import annotations

import torch

from edgepress.methods import resolve
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import network, open_task


def test_no_weight_moves_when_the_network_is_given(digits: tuple[Examples, Examples]) -> None:
    train, val = digits
    made = network(train.spec, 10, {"method": "resnet_cifar", "depth": 8, "width": 4})
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    task = open_task(tuple("0123456789"))
    assert (
        resolve("training", {"method": "given"}, "test", "r")(Job(made, train, val, 0, task)) == []
    )
    assert all(torch.equal(before[name], each) for name, each in made.state_dict().items())
