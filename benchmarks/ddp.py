"""How much faster two workers train than one, each with one thread: `python -m benchmarks.ddp`.

Needs as many free cores as workers; prints images/s of pairs of runs and the median of their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from edgepress.bundles.network import Blueprint, build
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.parts import PARTS

SPEC = InputSpec(height=32, width=32, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
IMAGES, BATCH, WARM, PAIRS, PORT = 1024, 64, 4, 5, "29571"


def measure(workers: int) -> None:
    """Train a ResNet-20 of CIFAR's for one epoch; print the images/s after the first steps."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    examples = Examples(pixels, {"label": rng.integers(0, 10, IMAGES)}, SPEC, "noise")
    task = Task.open({"method": "classification"}, tuple("0123456789"), "benchmark")
    torch.manual_seed(0)
    entries = ({"method": "resnet_cifar", "depth": 20, "width": 16}, {"method": "linear"})
    outputs = task.learner.outputs(SPEC)
    network = build(Blueprint(*entries, SPEC, outputs, "benchmark", "train"))
    times: list[float] = []
    engine = {"method": "torchrun", "workers": workers} if workers > 1 else {"method": "local"}
    recipe = {
        "method": "supervised", "epochs": 1, "batch": BATCH, "learning_rate": 0.05,
        "weight_decay": 0.0005, **PARTS, "label_smoothing": 0.0, "augment": "flip_shift",
        "precision": "fp32", "engine": engine,
    }  # fmt: skip
    told = lambda *_: times.append(time.perf_counter())  # noqa: E731
    job = Job(network, examples, None, 0, task, None, told)
    resolve("training", recipe, "benchmark", "recipe")(job)
    if times:
        print(BATCH * (len(times) - 1 - WARM) / (times[-1] - times[WARM]))


def run(workers: int) -> float:
    """Start the workers; return the images/s of all together."""
    there = {"WORLD_SIZE": str(workers), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": PORT}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ddp", str(workers)],
            env={**os.environ, **there, "OMP_NUM_THREADS": "1", "RANK": str(r), "LOCAL_RANK": "0"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for r in range(workers)
    ]
    said = [each.communicate()[0] for each in started]
    return float(said[0])


def main() -> None:
    """Measure pairs, one worker and two in turn."""
    pairs = [(run(1), run(2)) for _ in range(PAIRS)]
    for one, two in pairs:
        print(f"one worker {one:,.0f} images/s, two {two:,.0f}, {two / one:.2f} times")
    print(f"median {statistics.median(two / one for one, two in pairs):.2f} times")


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
