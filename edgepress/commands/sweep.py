"""`edgepress sweep KEY=VALUES...`: try values of params.yaml, and give up what falls behind."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgepress.commands.preset import merge
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.params import read_yaml
from edgepress.records.record import write_atomically
from edgepress.report.words import duration
from edgepress.sweeping.space import Space, preset, with_values
from edgepress.sweeping.study import DivergedError, Plan, Trial, best, sweep

PARAMS, FOLDER = Path("params.yaml"), Path(".edgepress/sweep")
_DIVERGED = ("training: the loss diverged", "training: the loss is not finite")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    axis = "train.recipe.learning_rate=log:0.001..0.1, KEY=float:LOW..HIGH, int:8..64, choice:a,b"
    add("axes", nargs="+", metavar="KEY=VALUES", help=f"what to try: {axis}")
    add("--trials", type=int, default=20, help="how many in all (default: %(default)s)")
    add("--score", help="of an epoch, val_accuracy or loss (default: the first score on val)")
    add("--pruner", choices=["median", "hyperband", "none"], default="median")
    add("--write", action="store_true", help=f"merge the best values into {PARAMS}")


def run(args: argparse.Namespace) -> int:
    """Run the trials that are still to be run, print each, and the best as a preset."""
    params = read_yaml(PARAMS)
    space = Space.parse(args.axes, params, str(PARAMS))
    if args.trials < 1:
        raise UserError(f"--trials {args.trials}: expected 1 or more")
    recipe = resolve(*space.recipe(params), str(PARAMS), f"{space.section}.recipe").params
    plan = Plan(
        trials=args.trials,
        score=args.score,
        best=getattr(recipe, "keep", "last") == "best",
        epochs=getattr(recipe, "epochs", 1),
        pruning=args.pruner,
        seed=int(params.get("seed") or 0),
    )
    folder = FOLDER / _key(params, space, plan)
    sys.stdout.write(f"{folder}: {', '.join(map(str, space.axes))}\n")
    try:
        with _alone(folder):
            train = _Process(folder, params, space)
            trials = sweep(folder / "journal.log", space, plan, train, _show)
    except KeyboardInterrupt:
        sys.stderr.write("edgepress sweep: stopped; the same command goes on\n")
        return 130
    found = best(trials, plan)
    if found is None:
        raise UserError("no trial came to its end; try smaller values")
    chosen = preset(params, found.values)
    sys.stdout.write(f"\nbest is trial {found.number}, {found.score:.4g} on val:\n")
    sys.stdout.write(yaml.safe_dump(chosen, sort_keys=False))
    if args.write:
        text = merge(PARAMS.read_text(encoding="utf-8"), chosen, "sweep")
        write_atomically(PARAMS, text)
        sys.stdout.write(f"written into {PARAMS}\n")
    return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the sweep's lock; a second run of it meanwhile is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: this sweep runs already; wait for it, or end it") from None
        yield


@dataclass(frozen=True)
class _Process:
    """Trains each trial in a process of its own, which ends with it."""

    folder: Path
    params: dict[str, Any]
    space: Space

    def __call__(self, values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        """Yield each epoch's record as the process writes it."""
        try:
            yield from self._trained(values)
        except (GeneratorExit, DivergedError):
            self._forget()
            raise
        self._forget()

    def _forget(self) -> None:
        """Remove the checkpoint of a trial that ended; one that was cut off needs it."""
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)

    def _trained(self, values: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump(with_values(self.params, values)), encoding="utf-8")
        command = [sys.executable, "-m", "stages.trial", self.space.section, str(path)]
        errors = self.folder / "stderr.log"
        with errors.open("w+", encoding="utf-8") as err:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=err, text=True, env=environment
            )
            try:
                for line in process.stdout or ():
                    yield json.loads(line)
                code = process.wait()
            finally:
                process.kill()
                process.wait()
        if code:
            raise _refusal(errors, self.space.section, code)


def _refusal(errors: Path, section: str, code: int) -> UserError:
    lines = [line for line in errors.read_text(encoding="utf-8").splitlines() if line.strip()]
    line = lines[-1].removeprefix(f"trial@{section}: ") if lines else f"a trial exited with {code}"
    if line.startswith(_DIVERGED):
        return DivergedError(line)
    return UserError(f"{line} (all of it: {errors})" if code != 2 else line)


def _show(trial: Trial) -> None:
    values = "  ".join(f"{key}={_short(value)}" for key, value in trial.values.items())
    score = "–" if trial.score is None else f"{trial.score:.4g}"
    sys.stdout.write(
        f"{trial.number:>4}  {score:<7} {trial.outcome:<9} {trial.epochs:>3} epochs  "
        f"{duration(trial.seconds):<9}  {values}\n"
    )
    sys.stdout.flush()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _key(params: Mapping[str, Any], space: Space, plan: Plan) -> str:
    """Return a name for these axes and all else that a score depends on: the rest of params."""
    kept = {name: params.get(name) for name in ("seed", "task", "input", "train", space.section)}
    kept |= {name: params.get(name) for name in ("ingest", "curate", "embed")}
    for axis in space.axes:
        kept = with_values(kept, {axis.key: None})
    said = [kept, list(map(str, space.axes)), plan.score, plan.pruning]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return f"{space.section}-{digest[:12]}"
