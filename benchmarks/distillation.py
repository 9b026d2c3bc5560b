"""A dense student taught by the labels alone, by its teacher's answers, and by its teacher's maps.

Nuclei at 64 px: a timm `resnet10t` with a U-Net of width 32 teaches a ResNet-8 of width 16 with one
of width 16; one teacher, every student with the same epochs and seeds, one thread. Judged by the
foreground's Dice over the test split. Weights of the methods are set beforehand, not searched.
Run: python benchmarks/distillation.py IMAGES MASKS [--epochs 15] [--seeds 3]
IMAGES and MASKS are folders of pictures of one name each; what is above 0 in a mask is foreground.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segmentation import RECIPE, Splits, foreground, read

from edgepress.bundles.network import Blueprint, Network, build
from edgepress.distillation.teacher import Teacher
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.loop import Job

SPEC = InputSpec(height=64, width=64, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
TEACHER = ({"method": "timm", "model": "resnet10t", "pretrained": False}, 32)
STUDENT = ({"method": "resnet_cifar", "depth": 8, "width": 16}, 16)
TEACHER_EPOCHS = 30
SHARED = {name: value for name, value in RECIPE.items() if name != "label_smoothing"}
WAYS: dict[str, dict[str, Any]] = {
    "labels alone": RECIPE,
    "logits": {**SHARED, "method": "logits", "temperature": 2.0, "weight": 0.5},
    "cwd, weight 3": {**SHARED, "method": "cwd", "temperature": 4.0, "weight": 3.0},
    "cwd, weight 50": {**SHARED, "method": "cwd", "temperature": 4.0, "weight": 50.0},
}


def main() -> None:
    """Print the teacher's Dice, each student's, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    splits, task = read(given.images, given.masks, SPEC)
    master = fresh(TEACHER, task, 0)
    recipe = resolve("training", {**RECIPE, "epochs": TEACHER_EPOCHS}, "benchmark", "recipe")
    recipe(Job(master, splits["train"], None, 0, task))
    print(f"teacher: Dice {foreground(master, splits['test'], task):.4f}", flush=True)
    found: dict[str, list[float]] = {}
    for seed in range(given.seeds):
        for name, entry in WAYS.items():
            started = time.process_time()
            student = taught(master, (splits, task), seed, {**entry, "epochs": given.epochs})
            spent = time.process_time() - started
            dice = foreground(student, splits["test"], task)
            found.setdefault(name, []).append(dice)
            print(f"seed {seed} {name:<15} {spent:5.0f} s of processor  {dice:.4f}", flush=True)
    for name, values in found.items():
        print(f"{name:<15} mean {np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")


def fresh(model: tuple[dict[str, Any], int], task: Task, seed: int) -> Network:
    """Return a network of a backbone and a U-Net's width."""
    torch.manual_seed(seed)
    head = {"method": "unet", "width": model[1]}
    return build(Blueprint(model[0], head, SPEC, task.learner.outputs(SPEC)))


def taught(
    master: Network, given: tuple[Splits, Task], seed: int, entry: dict[str, Any]
) -> Network:
    """Return a student after one way's training."""
    splits, task = given
    student = fresh(STUDENT, task, seed)
    job = Job(student, splits["train"], None, seed, task)
    room = "training" if entry["method"] == "supervised" else "distillation"
    method = resolve(room, entry, "benchmark", "recipe")
    if room == "training":
        method(job)
        return student
    with tempfile.TemporaryDirectory() as scratch:
        method(job, Teacher(master, "0" * 64, Path(scratch)))
    return student


if __name__ == "__main__":
    main()
