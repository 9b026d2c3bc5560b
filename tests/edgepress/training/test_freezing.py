from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training import loop
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.freezing import Freeze, Freezing
from edgepress.training.loop import Job
from tests.classified import network
from tests.edgepress.training.test_loop import RECIPE, TASK, Digits, KilledError, _same

BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}


def _network(digits: Digits) -> nn.Module:
    torch.manual_seed(0)
    return network(digits[0].spec, 10, BACKBONE)


def _moved(digits: Digits, freeze: dict[str, Any] | None, steps: int) -> set[str]:
    """Return what of the state has changed after so many of the 24 steps."""
    made = _network(digits)
    before = {name: each.clone() for name, each in made.state_dict().items()}

    def stop(what: str, done: int, total: int, note: str = "") -> None:
        if done == steps:
            raise KilledError

    recipe = {
        **RECIPE,
        "freeze": freeze,
        "optimizer": {"method": "sgd", "momentum": 0.0, "nesterov": False},
    }
    with pytest.raises(KilledError):
        resolve("training", recipe, "x", "y")(Job(made, digits[0], None, 0, TASK, None, stop))
    return {n for n, each in made.state_dict().items() if not torch.equal(each, before[n])}


def test_backbone_stays_as_it_is_with_its_statistics_until_it_is_thawed(digits: Digits) -> None:
    everything = _moved(digits, None, 12)
    assert _moved(digits, {"until": 0.5}, 12) == {"head.fc.weight", "head.fc.bias"}
    assert _moved(digits, {"until": 0.5}, 13) == everything
    assert _moved(digits, {"until": 1.0}, 24) == {"head.fc.weight", "head.fc.bias"}


def test_first_layers_alone_are_frozen_when_their_number_is_given(digits: Digits) -> None:
    made = _network(digits)
    moved = _moved(digits, {"until": 1.0, "layers": 2}, 8)
    depths = made.backbone.depths()
    first = {f"backbone.{name}" for name, depth in depths.items() if depth < 2}
    statistics = {n for n, _ in made.named_buffers() if n.rpartition(".")[0] + ".weight" in first}
    assert first
    assert statistics
    assert set(made.state_dict()) - moved == first | statistics


def test_what_is_frozen_costs_no_gradients(digits: Digits) -> None:
    made = _network(digits)
    freezing = Freezing(made, Freeze(until=0.5))
    freezing.step(0.0)
    made(torch.zeros(2, 1, 8, 8)).sum().backward()
    assert {name for name, p in made.named_parameters() if p.grad is not None} == {
        "head.fc.weight",
        "head.fc.bias",
    }
    freezing.end()
    assert all(p.requires_grad for p in made.parameters())


@pytest.mark.usefixtures("checkpoints_each_step")
@pytest.mark.parametrize("step", [5, 13])
def test_weights_are_the_same_when_killed_before_and_after_the_thaw(
    digits: Digits, tmp_path: Any, step: int
) -> None:
    recipe = {
        **RECIPE,
        "freeze": {"until": 0.4},
        "ema": 0.9,
        "optimizer": {"method": "adamw", "betas": [0.9, 0.999], "eps": 1e-8},
    }
    method = resolve("training", recipe, "x", "y")
    whole, resumed = _network(digits), _network(digits)
    method(Job(whole, *digits, 0, TASK))

    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KilledError

    checkpoint = Checkpoint(tmp_path / "state")
    with pytest.raises(KilledError):
        method(Job(_network(digits), *digits, 0, TASK, checkpoint, kill))
    method(Job(resumed, *digits, 0, TASK, checkpoint))
    assert _same(whole, resumed)


def test_plan_is_refused_when_it_cannot_be(digits: Digits) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UserError, match="freeze: this network has no backbone apart from its"):
        Freezing(plain, Freeze(until=0.5))
    made = _network(digits)
    with pytest.raises(UserError, match=r"freeze.layers: 40 asked for, the backbone has \d"):
        Freezing(made, Freeze(until=0.5, layers=40))
    with pytest.raises(UserError, match="nothing would be left to learn"):
        Freezing(made.backbone, Freeze(until=0.5))
    for value in ({"until": 0.0}, {"until": 1.5}, {"until": 0.5, "layers": 0}, {"layers": 2}):
        with pytest.raises(UserError, match=r"recipe.freeze\.(until|layers): "):
            resolve("training", {**RECIPE, "freeze": value}, "params.yaml", "train.recipe")


def test_images_are_the_same_whether_or_not_layers_are_frozen(digits: Digits) -> None:
    """A plan draws nothing: what follows the thaw sees the images that it would have seen."""
    seen: dict[bool, list[int]] = {}
    for frozen in (False, True):
        rows: list[int] = []

        def watched(
            made: nn.Module, batch: loop.Batch, rows: list[int] = rows
        ) -> dict[str, torch.Tensor]:
            rows += batch.rows.tolist()
            return {"loss": made(batch.inputs).square().mean()}

        freeze = {"until": 0.5} if frozen else None
        recipe = resolve("training", {**RECIPE, "epochs": 1, "freeze": freeze}, "x", "y").params
        loop.fit(Job(_network(digits), digits[0], None, 0, TASK), recipe, watched)  # type: ignore[arg-type]
        seen[frozen] = rows
    assert seen[True] == seen[False]
    assert np.unique(seen[True]).size == 400
