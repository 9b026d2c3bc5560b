"""What detection does after the network, against torchvision; and the time of its scores.

Suppression: 8,400 candidates of one class against torchvision.ops.batched_nms, all that stay and
the 100 surest. Decoding: one 640 x 640 image, 80 classes, strides 8, 16 and 32, against the same
written with torch and batched_nms. Both sides in turns on one thread; medians of processor time,
with the smallest and largest; the answers are compared first. Scores: COCO's average precision of
1,000 images with 100 answers each, 10 classes, and 1,000 bootstrap samples of the images.
Run: python benchmarks/postprocessing.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchvision.ops import batched_nms

from edgepress import intervals
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks._average_precision import match
from edgepress.tasks.detection import boxes
from edgepress.tasks.task import Task

SIDE, PLACES, CLASSES, STRIDES, MOST, OVERLAP = 640, 8400, 80, (8, 16, 32), 100, 0.65
SPEC = InputSpec(height=SIDE, width=SIDE, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def task(least: float) -> Task:
    """Return detection as it is asked of a network with 80 classes."""
    entry = {
        "method": "detection",
        "strides": list(STRIDES),
        "most_objects": MOST,
        "most_answers": MOST,
        "least_score": least,
        "overlap": OVERLAP,
        "sure": 0.3,
    }
    return Task.open(entry, tuple(f"class {index}" for index in range(CLASSES)), "benchmark")


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> None:
    """Print the milliseconds of each way, and what the first is of the second."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            spent[name].append((time.process_time() - began) * 1e3)
    for name, each in spent.items():
        print(
            f"  {name:<24} {statistics.median(each):8.1f} ms ({min(each):.1f} to {max(each):.1f})"
        )
    first, second, *_ = (statistics.median(each) for each in spent.values())
    print(f"  first over second: {first / second:.2f}", flush=True)


def crowded(count: int, things: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes [count, 4] around so many things, and their scores."""
    rng = np.random.default_rng(0)
    middle, size = rng.uniform(0, SIDE, (things, 2)), rng.uniform(16, 200, (things, 2))
    whose = rng.integers(things, size=count)
    places = middle[whose] + rng.normal(0, 0.12, (count, 2)) * size[whose]
    half = size[whose] * np.exp(rng.normal(0, 0.15, (count, 2))) / 2
    found = np.concatenate([places - half, places + half], axis=1).clip(0, SIDE)
    return found.astype(np.float32), (rng.permutation(count) / count).astype(np.float32)


def suppression(rounds: int) -> None:
    """Time candidates of one class, from crowded to scattered."""
    for things in (20, 200, PLACES):
        each, scores = crowded(PLACES, things)
        tensors = torch.from_numpy(each), torch.from_numpy(scores), torch.zeros(PLACES)
        expected = batched_nms(*tensors, OVERLAP).numpy()
        assert np.array_equal(boxes.kept(each, scores, OVERLAP), expected)
        assert np.array_equal(boxes.kept(each, scores, OVERLAP, most=MOST), expected[:MOST])
        print(f"suppression, boxes around {things} things, {len(expected)} stay")
        ways: dict[str, Callable[[], object]] = {
            "edgepress, all": lambda: boxes.kept(each, scores, OVERLAP),  # noqa: B023
            "torchvision": lambda: batched_nms(*tensors, OVERLAP),  # noqa: B023
            "edgepress, the 100": lambda: boxes.kept(each, scores, OVERLAP, most=MOST),  # noqa: B023
        }
        in_turns(ways, rounds)


def network_outputs(things: int) -> dict[str, np.ndarray]:
    """Return outputs as of a trained network: places near a thing say it, all others little."""
    rng = np.random.default_rng(1)
    middle, size = rng.uniform(0, SIDE, (things, 2)), np.exp(rng.uniform(3, 5.5, (things, 2)))
    category = rng.integers(CLASSES, size=things)
    raw: dict[str, np.ndarray] = {}
    for stride in STRIDES:
        side = SIDE // stride
        places = boxes.middles(SIDE, SIDE, stride)
        off = (places[:, None] - middle) / size
        nearest = (off**2).sum(axis=2).argmin(axis=1)
        rows = np.arange(len(places))
        low = places - (middle - size / 2)[nearest]
        far = np.concatenate([low, size[nearest] - low], axis=1) / stride
        distances = np.log(np.maximum(far, 0.1)) + rng.normal(0, 0.05, far.shape)
        logits = rng.normal(-9, 1.5, (len(places), CLASSES))
        close = (off[rows, nearest] ** 2).sum(axis=1)
        logits[rows, category[nearest]] = 3 - 12 * close + rng.normal(0, 1, len(places))
        for name, values in (("boxes", distances), ("scores", np.maximum(logits, -15))):
            maps = values.T.reshape(1, -1, side, side)
            raw[f"{name}_{stride}"] = np.ascontiguousarray(maps, np.float32)
    return raw


@dataclass(frozen=True)
class ByTorch:
    """The same decoding with torch and torchvision."""

    least: float

    def __call__(self, raw: dict[str, np.ndarray]) -> tuple[torch.Tensor, ...]:
        """Return the surest boxes, their scores and classes."""
        parts: list[tuple[Any, ...]] = []
        for stride in STRIDES:
            scores = torch.from_numpy(raw[f"scores_{stride}"])[0].flatten(1).sigmoid()
            distances = torch.from_numpy(raw[f"boxes_{stride}"])[0].flatten(1).T
            places = torch.from_numpy(boxes.middles(SIDE, SIDE, stride))
            far = distances.clamp(max=boxes.LARGEST).exp() * stride
            every = torch.cat([places - far[:, :2], places + far[:, 2:]], 1).clamp(0, SIDE)
            category, place = torch.nonzero(scores > self.least, as_tuple=True)
            parts.append((every[place], scores[category, place], category))
        every, scores, category = (torch.cat(column) for column in zip(*parts, strict=True))
        stay = batched_nms(every, scores, category, OVERLAP)[:MOST]
        return every[stay], scores[stay], category[stay]


def decoding(rounds: int) -> None:
    """Time one image from the network's outputs to its answers."""
    for least in (0.05, 0.001):
        raw = network_outputs(30)
        answers, other = task(least).answers, ByTorch(least)
        candidates = sum(
            int((values > np.log(least / (1 - least))).sum())
            for name, values in raw.items()
            if name.startswith("scores")
        )
        expected, found = other(raw)[1].numpy(), answers.decode(raw, SPEC)["scores"][0]
        assert np.allclose(found[: len(expected)], expected, atol=1e-6)
        print(f"decoding, scores from {least}: {candidates} candidates, {len(expected)} answers")
        ways: dict[str, Callable[[], object]] = {
            "edgepress": lambda: answers.decode(raw, SPEC),  # noqa: B023
            "torch and torchvision": lambda: other(raw),  # noqa: B023
        }
        in_turns(ways, rounds)


def evaluated(images: int = 1000, answers: int = 100, objects: int = 8, classes: int = 10) -> None:
    """Time average precision over 1,000 bootstrap samples."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.uniform(2.5, 5.7, (images, objects, 2)))
    low = rng.uniform(0, 1, size.shape) * (SIDE - size)
    truth: Arrays = {
        "boxes": np.concatenate([low, low + size], axis=2),
        "category": rng.integers(0, classes, (images, objects)),
        "crowd": np.zeros((images, objects), bool),
        "ignore": np.zeros((images, objects), bool),
        "area": size.prod(axis=2),
        "scale": np.ones((images, 2), np.float32),
    }
    whose = rng.integers(objects, size=(images, answers))
    about = np.take_along_axis(np.tile(size, 2), whose[..., None], axis=1)
    near = np.take_along_axis(truth["boxes"], whose[..., None], axis=1)
    right = np.take_along_axis(truth["category"], whose, axis=1)
    ours: Arrays = {
        "boxes": near + rng.normal(0, 0.08, near.shape) * about,
        "scores": rng.random((images, answers)).astype(np.float32),
        "category": np.where(rng.random(right.shape) < 0.8, right, (right + 1) % classes),
    }

    def overlap(mine: Arrays, real: Arrays) -> np.ndarray:
        return boxes.with_crowds(mine["boxes"], real["boxes"], real["crowd"])

    began = time.process_time()
    held = match(ours, truth, classes, overlap)
    held.precision(intervals.resamples(images))
    print(f"average precision, 1,000 samples: {time.process_time() - began:.1f} s")


def main() -> None:
    """Print medians side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        suppression(given.rounds)
        decoding(given.rounds)
    evaluated()


if __name__ == "__main__":
    main()
