from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import UserError
from edgepress.sweeping.space import Axis, Space
from edgepress.sweeping.study import DivergedError, Plan, Trial, best, sweep

pytest.importorskip("optuna", reason="the extra `sweep` is not installed")

SPACE = Space((Axis("train.recipe.x", "float", (0.0, 1.0)),), "train")
PLAN = Plan(trials=12, score=None, best=False, epochs=10, pruning="median", seed=0)


class Trained:
    """Scores that rise with the epochs, the better the nearer x is to 0.3."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        x = values["train.recipe.x"]
        self.asked.append(x)
        for epoch in range(10):
            yield {"epoch": epoch + 1, "loss": 1.0, "val_accuracy": (1 - abs(x - 0.3)) * epoch / 9}


def run(folder: Path, train: Any, plan: Plan = PLAN) -> list[Trial]:
    return sweep(folder / "journal.log", SPACE, plan, train, lambda _: None)


def test_best_is_near_the_top_and_hopeless_trials_are_given_up(tmp_path: Path) -> None:
    trials = run(tmp_path, Trained())
    assert len(trials) == 12
    found = best(trials, PLAN)
    assert found is not None
    assert abs(found.values["train.recipe.x"] - 0.3) < 0.2
    given_up = [each for each in trials if each.outcome == "given up"]
    assert given_up
    assert all(2 <= each.epochs < 10 for each in given_up)
    assert all(each.score is not None and each.score < (found.score or 0) for each in given_up)


def test_sweep_goes_on_where_it_was_cut_off_with_the_values_of_the_open_trial(
    tmp_path: Path,
) -> None:
    class CutOff(BaseException):
        pass

    first = Trained()

    def cut(values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        for record in first(values):
            if len(first.asked) == 4 and record["epoch"] == 3:
                raise CutOff
            yield record

    with pytest.raises(CutOff):
        run(tmp_path, cut)
    second = Trained()
    trials = run(tmp_path, second, replace(PLAN, trials=8))
    assert len(trials) == 8
    assert second.asked[0] == first.asked[3]
    assert len(second.asked) == 5
    assert not set(second.asked[1:]) & set(first.asked)
    assert run(tmp_path, second, replace(PLAN, trials=8)) == trials
    assert len(second.asked) == 5


def test_diverged_trial_is_an_answer_and_another_refusal_ends_the_sweep(tmp_path: Path) -> None:
    def explode(values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        if values["train.recipe.x"] > 0.5:
            raise DivergedError("training: the loss diverged")
        yield from Trained()(values)

    trials = run(tmp_path / "a", explode, replace(PLAN, trials=6, pruning="none"))
    outcomes = {each.outcome: each for each in trials}
    assert set(outcomes) == {"done", "diverged"}
    assert outcomes["diverged"].score is None

    def refuse(values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        raise UserError("data/selection: file not found")
        yield values

    with pytest.raises(UserError, match="data/selection: file not found"):
        run(tmp_path / "b", refuse)


def test_loss_is_made_small_when_it_is_the_score(tmp_path: Path) -> None:
    def train(values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        for epoch in range(3):
            yield {"epoch": epoch + 1, "loss": values["train.recipe.x"]}

    plan = replace(PLAN, trials=5, score="loss", epochs=3, pruning="none")
    trials = run(tmp_path, train, plan)
    found = best(trials, plan)
    assert found is not None
    assert found.score == min(each.score for each in trials if each.score is not None)
    with pytest.raises(UserError, match="--score val_f1: an epoch has loss"):
        run(tmp_path / "other", train, replace(plan, score="val_f1"))
