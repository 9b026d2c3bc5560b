"""The training loop against a bare one, distillation cached against live, and checkpoints' cost.

Same network, images, batches and hyper-parameters, in turns within one process; medians of ratios.
A checkpoint is that of a ResNet-18 with AdamW and an average of its weights.
Run: python benchmarks/training.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgepress.bundles.network import Blueprint, build
from edgepress.distillation.teacher import Teacher
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training import loop
from edgepress.training.checkpoint import Checkpoint, Position
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from edgepress.training.optimizers.optimizer import Optimizer

SIDE, BATCH, EPOCHS = 16, 64, 2
RECIPE: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch": BATCH,
    "learning_rate": 0.1,
    "weight_decay": 5e-4,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "augment": "none",
    "precision": "fp32",
}
TASK = Task.open({"method": "classification"}, tuple("0123456789"), "benchmark")
SPEC = InputSpec(height=SIDE, width=SIDE, channels=1, mean=(0.3,), std=(0.35,))


def digits() -> Examples:
    """Return 1,280 digits, each pixel doubled to 16 x 16."""
    data = load_digits()
    pixels = (data.images[:1280, ..., None] * 15.9).astype(np.uint8)
    larger = np.repeat(np.repeat(pixels, 2, 1), 2, 2)
    return Examples(larger, {"label": data.target[:1280].astype(np.int64)}, SPEC)


def first(examples: Examples) -> Examples:
    """Return two images to watch, so that only training counts."""
    return Examples(examples.pixels[:2], {"label": examples.truth["label"][:2]}, SPEC)


def network(depth: int, width: int) -> nn.Module:
    """Return a CIFAR ResNet with fixed initial weights."""
    torch.manual_seed(0)
    raw = {"method": "resnet_cifar", "depth": depth, "width": width}
    return build(Blueprint(raw, {"method": "linear"}, SPEC, TASK.learner.outputs(SPEC)))


def ours(examples: Examples) -> None:
    """Train by the pipeline's loop."""
    method = resolve(
        "training", {**RECIPE, "method": "supervised", "label_smoothing": 0.0}, "benchmark", "r"
    )
    method(Job(network(8, 16), examples, first(examples), 0, TASK))


def bare(examples: Examples) -> None:
    """Train as a careful person would write it by hand: tensors ready in memory, channels last."""
    model = network(8, 16).to(memory_format=torch.channels_last).train()
    x = torch.from_numpy(examples.pixels).permute(0, 3, 1, 2).float().div(255).sub(0.3).div(0.35)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(examples.truth["label"])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, steps * BATCH, BATCH):
            rows = order[start : start + BATCH]
            loss = cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


def distilled(examples: Examples, mode: str) -> None:
    """Distil as the default job does, the teacher's answers cached or live."""
    raw = {
        **RECIPE,
        "method": "logits",
        "epochs": 20,
        "temperature": 4.0,
        "weight": 0.9,
        "teacher": mode,
    }
    with tempfile.TemporaryDirectory() as cache:
        teacher = Teacher(network(14, 24).eval(), "0" * 64, Path(cache))
        resolve("distillation", raw, "benchmark", "r")(
            Job(network(8, 16), examples, first(examples), 0, TASK), teacher
        )


class Timed(Checkpoint):
    """Counts the seconds of every save."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`."""
        super().__init__(folder)
        self.seconds: list[float] = []

    def save(
        self, network: nn.Module, optimizer: Optimizer, at: Position, kept: dict[str, Tensor]
    ) -> None:
        """Save as ever."""
        started = time.perf_counter()
        super().save(network, optimizer, at, kept)
        self.seconds.append(time.perf_counter() - started)


def saved(rounds: int) -> list[float]:
    """Return the seconds of checkpoints, one a step."""
    rng, count = np.random.default_rng(0), 8 * rounds
    spec = InputSpec(height=64, width=64, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    pixels = rng.integers(0, 256, (count, 64, 64, 3), np.uint8)
    examples = Examples(pixels, {"label": rng.integers(0, 10, count)}, spec)
    entry = {"method": "timm", "model": "resnet18", "pretrained": False}
    made = build(Blueprint(entry, {"method": "linear"}, spec, TASK.learner.outputs(spec)))
    raw = {"method": "supervised", "base": "small_data", "epochs": 1, "batch": 8, "keep": "last"}
    before = loop.SECONDS_BETWEEN_CHECKPOINTS, loop.SHARE_OF_CHECKPOINTS
    loop.SECONDS_BETWEEN_CHECKPOINTS, loop.SHARE_OF_CHECKPOINTS = -1.0, 1e9
    try:
        with tempfile.TemporaryDirectory() as folder:
            timed = Timed(Path(folder))
            job = Job(made, examples, None, 0, TASK, timed)
            resolve("training", {**raw, "sampler": {"method": "uniform"}}, "b", "r")(job)
    finally:
        loop.SECONDS_BETWEEN_CHECKPOINTS, loop.SHARE_OF_CHECKPOINTS = before
    return timed.seconds


def ratio(slow: Callable[[], None], fast: Callable[[], None], rounds: int) -> list[float]:
    """Return seconds of `slow` over seconds of `fast`, one value per round, in turns."""
    slow(), fast()
    found = []
    for _ in range(rounds):
        seconds = []
        for work in (slow, fast):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
        found.append(seconds[0] / seconds[1])
    return found


def show(name: str, ratios: list[float]) -> None:
    """Print the median with the smallest and the largest."""
    print(f"{name}: {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    examples = digits()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {rounds} rounds"
    )
    show(
        "speed of the loop, bare loop = 1",
        ratio(lambda: bare(examples), lambda: ours(examples), rounds),
    )
    show("seconds of a checkpoint", saved(max(rounds, 9)))
    show(
        "speed of cached distillation, live = 1",
        ratio(lambda: distilled(examples, "live"), lambda: distilled(examples, "auto"), rounds),
    )


if __name__ == "__main__":
    main()
