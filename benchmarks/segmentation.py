"""The pipeline's segmentation recipe against smp's U-Net in a training script as its users write.

Same images, split and encoder, from scratch, the same processor seconds of training for both, on
one thread each; three seeds. Both are judged by the foreground's Dice over the test split.
Run: python benchmarks/segmentation.py IMAGES MASKS [--seconds 240] [--seeds 3]
IMAGES and MASKS are folders of pictures of one name each; what is above 0 in a mask is foreground.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn

from edgepress.bundles.network import Blueprint, build
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.answering import scores
from edgepress.training.examples import Examples, Normalise
from edgepress.training.loop import Job

ENCODER = "resnet10t"
BATCH = 16
SPEC = InputSpec(height=128, width=128, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
TASK = {"method": "segmentation", "ignore_index": None, "argmax": False}
RECIPE: dict[str, Any] = {
    "method": "supervised",
    "batch": BATCH,
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "augment": "flip_shift",
    "precision": "fp32",
    "label_smoothing": 0.0,
}
SMP_RATE = 1e-3

Splits = dict[str, Examples]
Train = Callable[[Splits, Task, int, int], nn.Module]
"""Maps splits, task, seed and epochs to a trained network with logits [N, 2, H, W]."""


def main() -> None:
    """Print each seed's Dice for both, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    splits, task = read(given.images, given.masks)
    print(f"train {len(splits['train'])}, val {len(splits['val'])}, test {len(splits['test'])}")
    found: dict[str, list[float]] = {}
    afforded = {n: affordable(train, (splits, task), given.seconds) for n, train in WAYS.items()}
    for seed in range(given.seeds):
        for name, train in WAYS.items():
            epochs = afforded[name]
            started = time.process_time()
            network = train(splits, task, seed, epochs)
            spent = time.process_time() - started
            dice = foreground(network, splits["test"], task)
            found.setdefault(name, []).append(dice)
            line = f"seed {seed} {name:<10} {epochs:>3} epochs {spent:5.0f} s of processor"
            print(f"{line}  foreground Dice {dice:.4f}", flush=True)
    for name, values in found.items():
        print(f"{name:<10} mean {np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")


def read(images: Path, masks: Path, spec: InputSpec = SPEC) -> tuple[Splits, Task]:
    """Return the splits, drawn by hash, decoded as `spec` says."""
    entry = {
        "method": "masks",
        "path": str(images),
        "masks": str(masks),
        "classes": ["background", "foreground"],
        "above_zero": True,
    }
    source = resolve("data.sources", entry, "benchmark", "source")
    rules = Rules.model_validate({"split": {"val": 0.1, "test": 0.3}, "limit": None})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "manifest"
        listing = source(folder)
        task = Task.open(TASK, listing.classes, "benchmark")
        build_manifest(listing, folder, rules, Labelling(task.entry, task.labels))
        splits = {}
        for name in ("train", "val", "test"):
            these = ImageSet.open(folder, name)
            splits[name] = Examples(these.pixels(spec), these.truth(task.labels, spec), spec)
    return splits, task


def affordable(train: Train, given: tuple[Splits, Task], seconds: float) -> int:
    """Return how many epochs fit, from the time of two; the first of all pays for set-up."""
    spent = []
    for epochs in (1, 3):
        started = time.process_time()
        train(*given, 0, epochs)
        spent.append(time.process_time() - started)
    return max(1, round(seconds / ((spent[1] - spent[0]) / 2)))


def ours(splits: Splits, task: Task, seed: int, epochs: int) -> nn.Module:
    """Train as the stage does: the light U-Net on the encoder's features."""
    torch.manual_seed(seed)
    backbone = {"method": "timm", "model": ENCODER, "pretrained": False}
    outputs = task.learner.outputs(SPEC)
    network = build(Blueprint(backbone, {"method": "unet", "width": 32}, SPEC, outputs))
    recipe = resolve("training", {**RECIPE, "epochs": epochs}, "benchmark", "train.recipe")
    recipe(Job(network, splits["train"], splits["val"], seed, task))
    return network


def theirs(splits: Splits, task: Task, seed: int, epochs: int) -> nn.Module:
    """Train smp.Unet with Adam, a cosine schedule, Dice and cross-entropy, flips."""
    torch.manual_seed(seed)
    network: nn.Module
    network = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, in_channels=3, classes=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=SMP_RATE)
    steps = len(splits["train"]) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps, eta_min=1e-5)
    dice, pixels = smp.losses.DiceLoss("multiclass"), nn.CrossEntropyLoss()
    normalise = Normalise(SPEC, torch.device("cpu"))
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(splits["train"])).numpy()
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            ((pixels, truth),) = splits["train"].batches([rows])
            images, masks = normalise(pixels), truth["mask"].long()
            for axis in (-1, -2):
                if torch.rand(()) < 0.5:
                    images, masks = images.flip(axis), masks.flip(axis)
            logits = network(images.contiguous())
            loss = dice(logits, masks) + pixels(logits, masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network


def foreground(network: nn.Module, examples: Examples, task: Task) -> float:
    """Return the Dice of the foreground's pixels over all images."""
    network.eval()
    for score in scores(network, examples, task):
        if score.name == "dice" and score.of == "foreground":
            return score.value.value
    sys.exit("the test split has no foreground")


WAYS: dict[str, Train] = {"edgepress": ours, "smp script": theirs}


if __name__ == "__main__":
    main()
