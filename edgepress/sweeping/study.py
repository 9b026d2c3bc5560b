"""Study: Optuna proposes values, a process trains with them, and what falls behind is given up.

Values are drawn by TPE (Bergstra et al. 2011). The journal is a file that only grows, so that a
sweep that was killed goes on: a trial cut off is tried again with its values, and its training goes
on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from edgepress.errors import UserError
from edgepress.sweeping.space import Axis, Space

Pruning = Literal["median", "hyperband", "none"]
_STARTUP = 4
"""Trials that end before any is held against them."""
MISSING = "optuna is not installed here; pip install 'edgepress[sweep]'"


class DivergedError(UserError):
    """A trial whose loss exploded: an answer about its values, not a fault of the sweep."""


class Train(Protocol):
    """Trains with some values."""

    def __call__(self, values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        """Yield the record of each epoch; closing it ends the training."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and by what a sweep is judged."""

    trials: int
    score: str | None
    """Key of an epoch's record; None takes its first score on val."""
    best: bool
    """Whether a trial is worth its best epoch (`keep: best`), else its last."""
    epochs: int
    pruning: Pruning
    seed: int


@dataclass(frozen=True)
class Trial:
    """One trial that ended."""

    number: int
    values: Mapping[str, Any]
    score: float | None
    """None where not one epoch was done."""
    epochs: int
    outcome: Literal["done", "given up", "diverged"]
    seconds: float


def sweep(
    journal: Path, space: Space, plan: Plan, train: Train, ended: Callable[[Trial], None]
) -> list[Trial]:
    """Run trials until there are as many as planned; return all, those of before among them."""
    study = _open(journal, plan)
    told = _Told(study, space, plan)
    for trial in told.before():
        ended(trial)
    while len(told.trials) < plan.trials:
        ended(told.run(train))
    return told.trials


def best(trials: list[Trial], plan: Plan) -> Trial | None:
    """Return the trial with the best score that went to its end."""
    done = [each for each in trials if each.outcome == "done" and each.score is not None]
    sign = -1.0 if lower(plan) else 1.0
    return max(done, key=lambda each: sign * float(each.score or 0.0), default=None)


def lower(plan: Plan) -> bool:
    """Tell whether the score is the better the lower: a loss is."""
    return plan.score is not None and not plan.score.startswith("val_")


class _Told:
    def __init__(self, study: Any, space: Space, plan: Plan) -> None:
        self._study, self._space, self._plan = study, space, plan
        self.trials: list[Trial] = []

    def before(self) -> list[Trial]:
        """Return what an earlier process finished; what it left open is queued again."""
        from optuna.trial import TrialState

        for frozen in self._study.get_trials(deepcopy=False):
            if frozen.state == TrialState.RUNNING:
                self._study.tell(frozen.number, state=TrialState.FAIL)
                self._study.enqueue_trial(frozen.params)
            elif "outcome" in frozen.user_attrs:
                kept = frozen.user_attrs
                self.trials.append(
                    Trial(
                        number=frozen.number,
                        values=frozen.params,
                        score=kept["score"],
                        epochs=kept["epochs"],
                        outcome=kept["outcome"],
                        seconds=kept["seconds"],
                    )
                )
        return list(self.trials)

    def run(self, train: Train) -> Trial:
        """Ask for values, train, tell."""
        from optuna.trial import TrialState

        asked, begun = self._study.ask(), time.monotonic()
        values = {axis.key: _suggested(asked, axis) for axis in self._space.axes}
        scores: list[float] = []
        outcome: Literal["done", "given up", "diverged"] = "done"
        epochs = train(values)
        try:
            for record in epochs:
                scores.append(self._score(record))
                asked.report(scores[-1], len(scores))
                if len(scores) < self._plan.epochs and asked.should_prune():
                    outcome = "given up"
                    break
        except DivergedError:
            outcome = "diverged"
        finally:
            epochs.close()  # type: ignore[attr-defined]
        score = self._worth(scores)
        seconds = round(time.monotonic() - begun, 1)
        kept = {"score": score, "epochs": len(scores), "outcome": outcome, "seconds": seconds}
        for name, value in kept.items():
            asked.set_user_attr(name, value)
        if outcome == "done":
            self._study.tell(asked, score)
        else:
            self._study.tell(asked, state=TrialState.PRUNED)
        self.trials.append(Trial(asked.number, values, score, len(scores), outcome, seconds))
        return self.trials[-1]

    def _score(self, record: Mapping[str, float]) -> float:
        name = self._plan.score or next((key for key in record if key.startswith("val_")), None)
        if name is None or name not in record:
            known = [key for key in record if key.startswith("val_")] + ["loss"]
            raise UserError(f"--score {name}: an epoch has {', '.join(known)}")
        return float(record[name])

    def _worth(self, scores: list[float]) -> float | None:
        if not scores:
            return None
        if not self._plan.best:
            return scores[-1]
        return min(scores) if lower(self._plan) else max(scores)


def _open(journal: Path, plan: Plan) -> Any:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise UserError(MISSING) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    warm = max(1, plan.epochs // 5)
    pruners = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=warm),
        "hyperband": optuna.pruners.HyperbandPruner(min_resource=warm, max_resource=plan.epochs),
        "none": optuna.pruners.NopPruner(),
    }
    study = optuna.create_study(
        study_name="sweep",
        storage=JournalStorage(JournalFileBackend(str(journal))),
        pruner=pruners[plan.pruning],
        direction="minimize" if lower(plan) else "maximize",
        load_if_exists=True,
    )
    # A sweep that goes on must not draw again what it drew first.
    seed = plan.seed + len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
    return study


def _suggested(trial: Any, axis: Axis) -> Any:
    if axis.kind == "choice":
        return trial.suggest_categorical(axis.key, axis.values)
    low, high = axis.values
    if axis.kind == "int":
        return trial.suggest_int(axis.key, low, high)
    return trial.suggest_float(axis.key, low, high, log=axis.kind == "log")
