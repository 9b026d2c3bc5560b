"""What moving a batch costs, against torchvision's RandomAffine.

32 colour pictures of 320 x 320 as uint8, each turned, scaled and shifted by draws of its own, with
and without masks of classes; then the colours, a mosaic and a blend. torchvision draws once for
what it is given: a picture at a time gives each its own, as ours does; the whole batch moved alike
is shown beside it. Its masks go in as tv_tensors. All sides in turns on one thread; medians of
processor time, with the smallest and largest; the answers of both are compared first.
Run: python benchmarks/augmentation.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from edgepress.data.placement import LETTERBOX
from edgepress.tasks.task import Learner, Task
from edgepress.training import affine
from edgepress.training.changes import Changes
from edgepress.training.colour import coloured
from edgepress.training.mixing import Sample, mixup, mosaic

COUNT, SIDE, DEGREES, SHIFT, SCALE = 32, 320, 10.0, 0.1, (0.8, 1.25)
MOVES = Changes(rotate=DEGREES, shift=SHIFT, scale=SCALE)
COLOURS = Changes(brightness=0.2, contrast=0.2, saturation=0.2)
MASKS = {"method": "segmentation", "ignore_index": 255, "argmax": False}


def learner(entry: dict[str, Any]) -> Learner:
    """Return how a task of two classes is learnt."""
    return Task.open(entry, ("a", "b"), "benchmark").learner


def theirs() -> v2.Transform:
    """Return torchvision's changes, colour grey outside and 255 in masks."""
    fill = {tv_tensors.Image: [LETTERBOX] * 3, tv_tensors.Mask: 255}
    return v2.RandomAffine(
        DEGREES, (SHIFT, SHIFT), SCALE, interpolation=v2.InterpolationMode.BILINEAR, fill=fill
    )


def compare(images: torch.Tensor) -> None:
    """Print how far both are apart for one matrix, away from the border."""
    turn = affine.drawn(Changes(rotate=30.0), images[:1].shape, torch.Generator().manual_seed(0))
    angle = float(torch.atan2(turn.matrix[0, 1, 0], turn.matrix[0, 0, 0]).rad2deg())
    other = v2.functional.affine(
        images[:1], angle, [0, 0], 1.0, [0.0, 0.0], v2.InterpolationMode.BILINEAR
    )
    middle = slice(SIDE // 4, 3 * SIDE // 4)
    off = (turn.pictures(images[:1]).int() - other.int())[..., middle, middle].abs()
    print(f"turned by {angle:.1f} degrees: levels apart at most {int(off.max())}")


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> None:
    """Print the milliseconds of processor time of each way."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if turn:  # the first round warms up
                spent[name].append((time.process_time() - began) * 1e3)
    for name, each in spent.items():
        print(f"{name:<44} {statistics.median(each):7.1f} ms ({min(each):.1f} to {max(each):.1f})")


def main() -> None:
    """Compare, then time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(0)
    shape = (COUNT, 3, SIDE, SIDE)
    images = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8)
    images = images.contiguous(memory_format=torch.channels_last)
    masks = torch.randint(0, 2, (COUNT, SIDE, SIDE), generator=draws, dtype=torch.uint8)
    compare(images)
    way, masked, one = theirs(), learner(MASKS), learner({"method": "classification"})
    wrapped = [tv_tensors.Image(each) for each in images]
    both = [(image, tv_tensors.Mask(mask)) for image, mask in zip(wrapped, masks, strict=True)]
    labels = {"label": torch.arange(COUNT) % 2}

    def moved(truth: bool) -> None:
        by = affine.drawn(MOVES, images.shape, draws)
        by.pictures(images)
        if truth:
            masked.warp({"mask": masks}, by)

    in_turns(
        {
            "ours, each picture its own": lambda: moved(False),
            "torchvision, a picture at a time": lambda: [way(each) for each in wrapped],
            "torchvision, the whole batch alike": lambda: way(tv_tensors.Image(images)),
            "ours, with masks": lambda: moved(True),
            "torchvision, a picture at a time, with masks": lambda: [way(*each) for each in both],
            "colours": lambda: coloured(images, COLOURS, draws),
            "mosaic of all, with masks": lambda: mosaic(
                Sample(images, {"mask": masks}), 1.0, masked, draws
            ),
            "mixup": lambda: mixup(Sample(images, labels), 0.2, one, draws),
        },
        rounds,
    )


if __name__ == "__main__":
    main()
