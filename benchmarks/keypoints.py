"""Keypoints of one video, split three ways: what a leak between near-copies is worth.

Its frames in folds, so that each is judged once by a network that did not learn it: drawn at
random, by groups of near-copies, and by stretches of time; the same network, recipe and seeds.
What random folds score above the others is what their leak is worth.
Run: python benchmarks/keypoints.py COCO_FOLDER [--epochs 40] [--folds 5]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from whole_set import RECIPE, Setting, ingested, learnable, trained

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.training.answering import answers
from edgepress.training.examples import Examples

POINTS = ["snout", "leftear", "rightear", "tailbase"]
MOUSE = Setting(
    {
        "method": "keypoints",
        "points": POINTS,
        "swaps": [["leftear", "rightear"]],
        "sigmas": 0.05,
        "tolerance": 0.1,
        "sure": 0.3,
        "form": "heatmap",
        "stride": 4,
        "blur": 1.5,
    },
    {"method": "coco", "annotations": None},
    InputSpec(height=240, width=320, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3),
    {"method": "timm", "model": "test_resnet", "pretrained": False},
    {"method": "unet", "width": 32},
    {
        **RECIPE,
        "batch": 8,
        "learning_rate": 0.05,
        "augment": {"flip": 0.5, "shift": 0.1, "scale": [0.8, 1.25], "rotate": 30},
    },
)


def main() -> None:
    """Make folds in three ways, and print what all frames score by each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        keypoints(given, Path(scratch))


def keypoints(given: argparse.Namespace, scratch: Path) -> None:
    """Print the scores of all frames for each way to make folds, and what is lost to random ones.

    Intervals are over groups of near-copies.
    """
    near = {"by": "near_duplicate", "bits": 4}
    task = ingested(MOUSE, given.folder, near, scratch / "manifest")
    every = ImageSet.open(scratch / "manifest")
    groups = every.groups
    assert groups is not None
    sizes = np.bincount(groups)
    print(f"{len(every)} frames, {(sizes > 0).sum()} groups, the largest of {sizes.max()}")
    examples = learnable(every, task, MOUSE.spec)
    rng, ranks = np.random.default_rng(0), np.argsort(np.argsort(every.ids))
    ways = {
        "at random": rng.permutation(len(every)) % given.folds,
        "by near-copies": levelled(groups, given.folds, rng),
        "by time": ranks * given.folds // len(every),
    }
    first: Arrays | None = None
    for name, folds in ways.items():
        found = folded(task, examples, folds, given.epochs)
        for each in task.answers.score(found, first, examples.truth, 0.95, groups=groups):
            if not each.of:
                lost = "" if each.drop is None else f"  lost to random {words(each.drop)}"
                print(f"{name:<16} {each.name:<12} {words(each.value)}{lost}", flush=True)
        first = first or found


def levelled(
    groups: npt.NDArray[np.int64], folds: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return each item's fold: groups are whole, the largest first into the emptiest fold."""
    names, sizes = np.unique(groups, return_counts=True)
    shuffled = rng.permutation(len(names))
    held, fold_of = np.zeros(folds), {}
    for at in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold = int(held.argmin())
        fold_of[names[at]] = fold
        held[fold] += sizes[at]
    return np.array([fold_of[group] for group in groups])


def folded(task: Task, examples: Examples, folds: npt.NDArray[np.int64], epochs: int) -> Arrays:
    """Return the answer to each item by a network that learnt the other folds."""
    whole: Arrays = {}
    for fold in np.unique(folds):
        learnt, asked = (rows(examples, which) for which in (folds != fold, folds == fold))
        network = trained(MOUSE, task, learnt, int(fold), epochs)
        for name, values in answers(network, asked, task).items():
            room = whole.setdefault(name, np.zeros((len(folds), *values.shape[1:]), values.dtype))
            room[folds == fold] = values
    return whole


def rows(examples: Examples, which: npt.NDArray[np.bool_]) -> Examples:
    """Return some of the examples."""
    truth = {name: values[which] for name, values in examples.truth.items()}
    return Examples(examples.pixels[which], truth, examples.spec)


def words(interval: Interval) -> str:
    """Say an interval."""
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


if __name__ == "__main__":
    main()
