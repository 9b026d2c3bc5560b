"""Every optimizer goes on from a checkpoint as if nothing had happened, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepress.training.checkpoint import Checkpoint, Position

OURS = ("sgd", "adamw", "lion", "muon")
BEFORE, AFTER = 5, 4


def _resumed(bench: Any, entry: dict[str, Any], folder: Path) -> tuple[Any, Any]:
    """Return a network trained in one go, and one whose second half another process trained."""
    whole, first, second = (bench.network() for _ in range(3))
    going, stopped, goes_on = (bench.build(each, entry) for each in (whole, first, second))
    for seed in range(BEFORE):
        for network, optimizer in ((whole, going), (first, stopped)):
            bench.descend(network, lambda made=optimizer: made.step(0.5), seed)
    checkpoint = Checkpoint(folder)
    checkpoint.save(first, stopped, Position(BEFORE, [], {}), {})
    at = checkpoint.restore(second, goes_on, {})
    assert at is not None
    assert at.step == BEFORE
    for seed in range(BEFORE, BEFORE + AFTER):
        for network, optimizer in ((whole, going), (second, goes_on)):
            bench.descend(network, lambda made=optimizer: made.step(0.25), seed)
    return whole, second


@pytest.mark.parametrize("name", OURS)
def test_weights_are_the_same_when_resumed(bench: Any, name: str, tmp_path: Path) -> None:
    whole, resumed = _resumed(bench, bench.entries[name], tmp_path)
    assert bench.same(whole, resumed)


@pytest.mark.parametrize("name", OURS)
def test_weights_differ_when_nothing_was_remembered(bench: Any, name: str) -> None:
    """Without this the test above could not fail."""
    whole, other = bench.network(), bench.network()
    going, fresh = bench.build(whole, bench.entries[name]), bench.build(other, bench.entries[name])
    bench.descend(whole, lambda: going.step(0.5), 0)
    other.load_state_dict(whole.state_dict())
    for seed in (1, 2):
        for network, optimizer in ((whole, going), (other, fresh)):
            bench.descend(network, lambda made=optimizer: made.step(0.5), seed)
    assert not bench.same(whole, other)


def test_weights_are_the_same_when_any_optimizer_of_timm_is_resumed(
    bench: Any, tmp_path: Path
) -> None:
    from timm.optim import list_optimizers

    from edgepress.errors import UserError

    names = [*list_optimizers(exclude_filters=["bnb*", "fused*"]), "lookahead_adam"]
    refused = {}
    for name in names:
        entry = {"method": "timm", "name": name}
        try:
            whole, resumed = _resumed(bench, entry, tmp_path / name)
        except UserError as error:
            refused[name] = str(error)
            continue
        assert bench.same(whole, resumed), name
    assert set(refused) == {"adahessian", "kron", "kronc", "kronw"}
    assert "second derivatives" in refused["adahessian"]
    assert "draws numbers of its own" in refused["kron"]
