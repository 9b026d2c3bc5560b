"""`batch: auto`, by given answers of a memory: no GPU is needed to hold the search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training import loop, machine
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.largest import largest, trial
from edgepress.training.loop import Batch, Job
from tests.edgepress.training.test_loop import (
    RECIPE,
    TASK,
    Digits,
    KilledError,
    _network,
    _same,
    _train,
)

Outputs = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("room", "most", "found"), [(33, 1000, 32), (64, 1000, 64), (500, 100, 64), (1, 100, 0)]
)
def test_largest_power_of_two_that_fits_is_found(room: int, most: int, found: int) -> None:
    asked: list[int] = []

    def fits(size: int) -> bool:
        asked.append(size)
        return size <= room

    assert largest(fits, most) == found
    assert asked == sorted(set(asked))
    assert max(asked) <= most


def test_trial_leaves_no_trace() -> None:
    torch.manual_seed(3)
    layer = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: each.clone() for name, each in layer.state_dict().items()}
    state = torch.get_rng_state()
    with trial(layer):
        layer(torch.rand(8, 4)).sum().backward()
    assert all(torch.equal(each, before[name]) for name, each in layer.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(each.grad is None for each in layer.parameters())


def _job(digits: Digits, checkpoint: Checkpoint | None = None, stop: int = -1) -> Job:
    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == stop:
            raise KilledError

    return Job(_network(), *digits, 0, TASK, checkpoint, kill)


def _run(job: Job, room: int, **changes: object) -> list[dict[str, float]]:
    """Train on a device whose memory holds a step of `room` images."""
    recipe = resolve("training", {**RECIPE, **changes}, "x", "y").params

    def objective(network: nn.Module, batch: Batch) -> Outputs:
        if len(batch.rows) > room:
            raise torch.OutOfMemoryError
        return job.learner.loss({"logits": network(batch.inputs)}, batch.truth)

    return loop.fit(job, recipe, objective)  # type: ignore[arg-type]


@pytest.mark.usefixtures("checkpoints_each_step")
def test_run_is_the_one_with_the_number_that_was_found(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "refuse", lambda *_: None)
    plain, tried = _job(digits), _job(digits)
    expected = _run(plain, 100, batch=64)
    history = _run(tried, 100, batch="auto")
    assert _same(plain.network, tried.network)
    assert [line.pop("batch") for line in history] == [64] * 3
    assert history == expected
    checkpoint = Checkpoint(tmp_path / "state")
    with pytest.raises(KilledError):
        _run(_job(digits, checkpoint, stop=8), 100, batch="auto")
    resumed = _job(digits, checkpoint)
    _run(resumed, 1000, batch="auto")  # more room than the first process found
    assert _same(plain.network, resumed.network)
    with pytest.raises(UserError, match="batch auto: not even 2 images fit"):
        _run(_job(digits), 1, batch="auto")


def test_auto_is_refused_without_a_gpu_and_what_is_no_number_everywhere(digits: Digits) -> None:
    with pytest.raises(UserError, match="batch auto needs a CUDA device.*write a number, such as"):
        machine.refuse("fp32", "auto", torch.device("cpu"))
    machine.refuse("fp32", "auto", torch.device("cuda"))
    for value in (1, "large", True, 2.5, 100_000):
        with pytest.raises(UserError, match=r"recipe.batch: .*expected an integer from 2 to 65536"):
            _train(digits, batch=value)
