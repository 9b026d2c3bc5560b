"""The scaled loss of float16, whose arithmetic is the same on every device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training import answering, machine, scaling
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.loop import Job
from edgepress.training.scaling import FIRST, Scaling
from tests.edgepress.training.test_loop import (
    RECIPE,
    TASK,
    Digits,
    KilledError,
    _network,
    _same,
    _train,
)


def test_gradients_are_the_same_when_the_loss_is_scaled_by_a_power_of_two() -> None:
    slopes = []
    for needed in (False, True):
        torch.manual_seed(0)
        layer, held = nn.Linear(4, 2), Scaling({}, needed)
        held.scaled(layer(torch.ones(3, 4)).square().mean()).backward()
        assert held.ready(layer.parameters())
        slopes.append(layer.weight.grad)
    assert torch.equal(*slopes)  # type: ignore[arg-type]


def test_step_is_left_out_and_the_factor_halved_when_gradients_overflow() -> None:
    kept: dict[str, Tensor] = {}
    layer, held = nn.Linear(4, 2), Scaling(kept, needed=True)
    assert float(held.scaled(torch.tensor(1.0))) == FIRST
    layer.weight.grad, layer.bias.grad = torch.full((2, 4), float("inf")), torch.ones(2)
    assert not held.ready(layer.parameters())
    assert float(held.scaled(torch.tensor(1.0))) == FIRST / 2
    again = Scaling({}, needed=True)
    again._kept = kept  # what a checkpoint kept
    assert float(again.scaled(torch.tensor(1.0))) == FIRST / 2


def test_factor_doubles_when_steps_were_good_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "PATIENCE", 3)
    layer, held = nn.Linear(4, 2), Scaling({}, needed=True)
    factors = []
    for _ in range(7):
        layer.weight.grad, layer.bias.grad = torch.ones(2, 4), torch.ones(2)
        assert held.ready(layer.parameters())
        factors.append(float(held.scaled(torch.tensor(1.0))) / FIRST)
    assert factors == [1, 1, 2, 2, 2, 4, 4]


def test_float16_is_refused_where_there_is_no_cuda_device(digits: Digits) -> None:
    with pytest.raises(UserError, match="precision fp16 needs a CUDA device.*set bf16 or fp32"):
        machine.refuse("fp16", 2, torch.device("cpu"))
    machine.refuse("fp16", 2, torch.device("cuda"))
    machine.refuse("bf16", 2, torch.device("cpu"))


@pytest.mark.usefixtures("checkpoints_each_step")
def test_float16_learns_and_resumes_to_the_same_bytes(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor, which is slow at it and refused otherwise."""
    monkeypatch.setattr(machine, "refuse", lambda *_: None)
    monkeypatch.setattr(scaling, "PATIENCE", 5)
    whole = _train(digits, precision="fp16", epochs=6, learning_rate=0.02, augment="none")
    assert answering.scores(whole.network, digits[1], TASK)[0].value.value > 0.6

    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == 21:
            raise KilledError

    recipe = {**RECIPE, "precision": "fp16", "epochs": 6, "learning_rate": 0.02, "augment": "none"}
    method, checkpoint = resolve("training", recipe, "x", "y"), Checkpoint(tmp_path / "state")
    with pytest.raises(KilledError):
        method(Job(_network(), *digits, 0, TASK, checkpoint, kill))
    resumed = Job(_network(), *digits, 0, TASK, checkpoint)
    method(resumed)
    assert _same(whole.network, resumed.network)
