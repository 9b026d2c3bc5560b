"""What each of two workers runs: `python -m tests.edgepress.training.two_workers FOLDER PART`.

It trains a small network on digits by each of CASES and leaves what comes of it in FOLDER/rank.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from edgepress.errors import PassingError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training import loop
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.examples import Examples
from edgepress.training.loop import Batch, Job
from edgepress.training.recipe import Recipe
from tests.parts import PARTS

TASK = Task.open({"method": "classification"}, tuple("0123456789"), "tests")
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
TWO = {"method": "torchrun", "workers": 2}
RECIPE: dict[str, Any] = {
    "method": "supervised", "epochs": 2, "batch": 50, "learning_rate": 0.05,
    "weight_decay": 0.0005, **PARTS, "label_smoothing": 0.0, "augment": "none", "precision": "fp32",
}  # fmt: skip
MOVES = {"flip": 0.5, "shift": 0.1, "rotate": 10, "brightness": 0.2, "contrast": 0.2}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "moved": {"augment": "flip_shift"},
    "changed": {"augment": MOVES},
    "mixed": {"augment": {**MOVES, "mixup": 0.3}, "epochs": 1},
    "uneven": {"batch": 51, "accumulate": 3, "clip": 0.5, "layer_decay": 0.5},
    "average": {"ema": 0.9, "keep": "best", "patience": 1, "epochs": 4},
    "adamw": {"optimizer": {"method": "adamw", "betas": [0.9, 0.999], "eps": 1e-8}},
}
KILLED = 13
"""The step at which the second worker is killed."""


class Net(nn.Module):
    """Two normalisations, one of them called twice, and a layer that no pass reaches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.twice = nn.BatchNorm2d(8, momentum=0.3)
        self.unused = nn.Linear(4, 4)
        self.head = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.twice(self.twice(self.second(x))))
        return self.head(x.flatten(1))  # type: ignore[no-any-return]


def digits() -> tuple[Examples, Examples]:
    """Return 400 digits to train on and 151 to watch."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    pixels = (data.images[order, ..., None] * 15.9).astype(np.uint8)
    labels = data.target[order].astype(np.int64)
    return (
        Examples(pixels[:400], {"label": labels[:400]}, SPEC),
        Examples(pixels[400:551], {"label": labels[400:551]}, SPEC),
    )


def trained(name: str, changes: dict[str, Any]) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train by one of the cases, with changes, and return the network and its curve."""
    method = resolve("training", {**RECIPE, **CASES[name], **changes}, "test", "recipe")
    job = Job(Net(), *digits(), 0, TASK)
    return job.network, method(job)


def keep(place: Path, network: nn.Module, history: object) -> None:
    """Write weights and curve."""
    place.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: each.contiguous() for name, each in network.state_dict().items()}
    save_file(tensors, place.with_suffix(".safetensors"))
    place.with_suffix(".json").write_text(json.dumps(history))


def counted(folder: Path, name: str, dies_at: int | None) -> None:
    """Train with a checkpoint after each step, and die by SIGKILL at a step where asked to."""
    loop.SECONDS_BETWEEN_CHECKPOINTS, loop.SHARE_OF_CHECKPOINTS = -1.0, 1e9
    entry = {**RECIPE, "augment": "flip_shift", "ema": 0.9, "engine": TWO}
    recipe: Recipe = resolve("training", entry, "test", "recipe").params  # type: ignore[assignment]
    steps: list[int] = []
    done = 0

    def objective(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        nonlocal done
        done += 1
        if done == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return TASK.learner.loss({"logits": network(batch.inputs)}, batch.truth)

    checkpoint = Checkpoint(folder / f"{name}-checkpoint")
    job = Job(Net(), *digits(), 0, TASK, checkpoint, lambda *said: steps.append(said[1]))
    history = loop.fit(job, recipe, objective)
    keep(folder / name, job.network, {"history": history, "told": steps})


def main(folder: Path, part: str) -> None:
    """Do a part of the work; the first part ends with the death of the second worker."""
    rank = int(os.environ["RANK"])
    own = folder / str(rank)
    if part == "resume":
        counted(own, "killed", None)
        return
    for name in CASES:
        keep(own / name, *trained(name, {"engine": TWO}))
    counted(own, "whole", None)
    try:
        counted(own, "killed", KILLED if rank else None)
    except PassingError as error:
        (own / "lost.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
