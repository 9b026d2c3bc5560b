"""Training on photographs: the pipeline's recipes against timm's own train.py, equal work.

Same network, initial weights where there are any, input, images, batch, epochs and one thread;
each keeps its best epoch on validation and is judged once on test. What each costs is processor
time, the loader's included. timm's script is that of its repository; its recipe is its small one:
AdamW, cosine with warm-up, RandomResizedCrop, flip, colour jitter, mixup, label smoothing.

Run: python benchmarks/photographs.py DATA --timm FOLDER [--weights FILE] [--epochs 12] [--seed 0]
DATA has train, validation and test folders of class folders; FOLDER has timm's train.py.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edgepress.bundles.network import Blueprint, Network, build
from edgepress.bundles.weights import Weights, begin
from edgepress.data.preprocess import decode
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.answering import answers
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """What both sides are given."""

    data: Path
    model: str
    weights: Path | None
    side: int
    epochs: int
    seed: int
    stretch: bool
    """Our pictures are stretched; else their middle is cut out, as the preset does."""

    @property
    def recipe(self) -> str:
        """The named recipe for such a start."""
        return "fine_tune" if self.weights else "small_data"

    @property
    def classes(self) -> tuple[str, ...]:
        """The class folders."""
        return tuple(sorted(path.name for path in (self.data / "train").iterdir()))


@dataclass(frozen=True)
class Result:
    """One training, judged on test."""

    who: str
    accuracy: float
    balanced: float
    cpu_s: float


def judged(who: str, label: Labels, truth: Labels, cpu_s: float) -> Result:
    """Return accuracy and the mean of the classes' recalls."""
    right = label == truth
    recalls = [float(right[truth == index].mean()) for index in np.unique(truth)]
    return Result(who, float(right.mean()), float(np.mean(recalls)), cpu_s)


def network(run: Run) -> Network:
    """Return the network with its initial weights, a fresh head on them."""
    entry = {"method": "timm", "model": run.model, "pretrained": False}
    outputs = _task(run).learner.outputs(_spec(run))
    torch.manual_seed(run.seed)
    made = build(Blueprint(entry, {"method": "linear"}, _spec(run), outputs))
    if run.weights:
        begin(made, Weights(path=str(run.weights)), "benchmark")
    return made


def ours(run: Run) -> Result:
    """Train by the pipeline's loop and the named recipe, from pictures decoded once."""
    before = _cpu_s()
    train, val, test = (_examples(run, split) for split in ("train", "validation", "test"))
    raw = {"method": "supervised", "base": run.recipe, "epochs": run.epochs, "keep": "best"}
    made = network(run)
    resolve("training", raw, "benchmark", "recipe")(Job(made, train, val, run.seed, _task(run)))
    cpu_s = _cpu_s() - before
    found = answers(made, test, _task(run))
    return judged("ours", found["label"], test.truth["label"], cpu_s)


def timm(run: Run, source: Path, folder: Path) -> Result:
    """Train by timm's script; its best checkpoint names the classes of the test pictures."""
    shared = ["--model", run.model, "--num-classes", str(len(run.classes)), "--device", "cpu"]
    shared += ["--img-size", str(run.side), "--amp", "--amp-dtype", "bfloat16"]
    rate = "0.0005" if run.weights else "0.001"
    recipe = ["--opt", "adamw", "--lr", rate, "--weight-decay", "0.05", "--sched", "cosine"]
    recipe += ["--epochs", str(run.epochs), "--warmup-epochs", "1", "--cooldown-epochs", "0"]
    recipe += ["--scale", "0.35", "1.0", "--color-jitter", "0.3", "--smoothing", "0.1"]
    recipe += ["--mixup", "0.1", "--batch-size", "32", "--clip-grad", "1.0", "--workers", "1"]
    recipe += ["--seed", str(run.seed), "--output", str(folder), "--experiment", "run"]
    if run.weights:
        started = folder / "start.pth"
        torch.save(_timm_names(run), started)
        recipe += ["--initial-checkpoint", str(started)]
    before = _cpu_s()
    _python(source / "train.py", ["--data-dir", str(run.data), *recipe, *shared])
    cpu_s = _cpu_s() - before
    told = ["--checkpoint", str(folder / "run" / "model_best.pth.tar"), "--fullname"]
    told += ["--data-dir", str(run.data / "test"), "--results-file", str(folder / "answers.csv")]
    told += ["--include-index", "--no-console-results", "--workers", "1"]
    _python(source / "inference.py", [*told, *shared])
    with (folder / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = [run.classes.index(Path(row["filename"]).parent.name) for row in rows]
    label = [int(row["index"]) for row in rows]
    return judged("timm", np.array(label), np.array(truth), cpu_s)


def _python(script: Path, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script}: {done.stderr[-2000:]}")


def _timm_names(run: Run) -> dict[str, torch.Tensor]:
    """Return backbone and head of the initial network under the names of timm's whole model."""
    import timm as library

    last = library.create_model(run.model).pretrained_cfg["classifier"]
    named = {}
    for name, value in network(run).state_dict().items():
        part, _, rest = name.partition(".")
        own = rest.removeprefix("model.") if part == "backbone" else f"{last}.{rest.split('.')[-1]}"
        named[own] = value
    return named


def _task(run: Run) -> Task:
    return Task.open({"method": "classification"}, run.classes, "benchmark")


def _spec(run: Run) -> InputSpec:
    """Return the input with the mean, deviation and filter that timm has for the model."""
    import timm as library

    held = library.create_model(run.model).pretrained_cfg
    told = {"mean": held["mean"], "std": held["std"], "resize": held["interpolation"]}
    fit = "stretch" if run.stretch else {"crop": 1.0}
    return InputSpec(height=run.side, width=run.side, channels=3, fit=fit, **told)


def _examples(run: Run, split: str) -> Examples:
    pixels, labels, spec = [], [], _spec(run)
    for index, name in enumerate(run.classes):
        for path in sorted((run.data / split / name).iterdir()):
            pixels.append(decode(path.read_bytes(), spec))
            labels.append(index)
    return Examples(np.stack(pixels), {"label": np.array(labels, np.int64)}, spec)


def _cpu_s() -> float:
    """Return the processor time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Train by both, or by one of them, and print a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--timm", type=Path, help="folder of timm's train.py; without it, ours")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stretch", action="store_true", help="ours stretches pictures")
    given = vars(parser.parse_args())
    source = given.pop("timm")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    run = Run(**given)
    with tempfile.TemporaryDirectory() as folder:
        results = [ours(run)] + ([timm(run, source, Path(folder))] if source else [])
    for result in results:
        print(json.dumps({**asdict(result), "seed": run.seed, "epochs": run.epochs}))


if __name__ == "__main__":
    main()
