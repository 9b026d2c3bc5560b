from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.training.watch import Watch, sound


def watched(losses: Sequence[float], every: int, history: Sequence[dict[str, float]] = ()) -> None:
    """Look at losses after every so many steps."""
    watch = Watch(history)
    for step, loss in enumerate(losses, 1):
        watch.step(step, torch.tensor(loss))
        if step % every == 0:
            watch.look("ADVICE")
    watch.look("ADVICE")


@pytest.mark.parametrize("every", [1, 7, 100])
def test_step_is_the_one_at_which_it_happened_when_a_loss_is_not_finite(every: int) -> None:
    losses = [2.3] * 40 + [float("inf")] + [float("nan")] * 9
    with pytest.raises(UserError, match=r"training: the loss is not finite at step 41; ADVICE"):
        watched(losses, every)


@pytest.mark.parametrize("every", [1, 7, 100])
def test_run_is_stopped_when_the_loss_explodes_and_stays_there(every: int) -> None:
    with pytest.raises(UserError, match=r"above 23 since step 31, from 2.3 at first; ADVICE"):
        watched([2.3] * 30 + [60.0] * 20, every)


@pytest.mark.parametrize(
    "losses",
    [
        [2.3] * 30 + [500.0] * 10 + [2.0] * 60,  # a spike that passes
        [0.01] * 30 + [5.0] * 60,  # tiny at first, as of trained weights, and never large
        [40.0] * 10 + [300.0] * 60,  # a sum of many losses
        [1e6] * 3,  # too short to tell
        [3.0, 2.0, 1.0] * 40,
    ],
)
@pytest.mark.parametrize("every", [1, 100])
def test_run_goes_on_when_the_loss_has_not_diverged(losses: list[float], every: int) -> None:
    watched(losses, every)


def test_resumed_run_is_held_against_its_first_epoch_when_it_comes_back_exploded() -> None:
    with pytest.raises(UserError, match="since step 1, from 2 at first"):
        watched([900.0] * 20, 5, [{"epoch": 1, "loss": 2.0}])


def test_network_is_not_sound_when_a_weight_is_not_finite() -> None:
    network = nn.Linear(2, 2)
    assert sound(network)
    with torch.no_grad():
        network.bias[1] = float("inf")
    assert not sound(network)
