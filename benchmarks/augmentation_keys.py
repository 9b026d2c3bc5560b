"""What each key of `augment` costs at 224 px beside its counterpart of torchvision, and shows.

32 colour pictures of 224 x 224 as uint8, cut from scikit-learn's two photographs. torchvision draws
once for what it is given: a picture at a time gives each its own, as ours does (its CutMix and
MixUp take batches, of floats). Both sides in turns on one thread; images per second of processor
time, medians with the smallest and largest.
Run: python benchmarks/augmentation_keys.py [--rounds 11] [--sheet docs/images/augmentation.jpg]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2

from edgepress.tasks.task import Task
from edgepress.training.augment import augmented
from edgepress.training.changes import Changes
from edgepress.training.mixing import Sample

COUNT, SIDE, TILE, SEED = 32, 224, 144, 5
KEYS: tuple[dict[str, Any], ...] = (
    {"crop": {"area": [0.35, 1.0]}},
    {"flip": 0.5},
    {"shift": 0.1},
    {"scale": [0.8, 1.25]},
    {"rotate": 15},
    {"brightness": 0.4},
    {"contrast": 0.4},
    {"saturation": 0.4},
    {"hue": 0.1},
    {"grey": 0.2},
    {"blur": {"share": 0.5}},
    {"trivial_augment": 1.0},
    {"rand_augment": {"operations": 2, "magnitude": 9}},
    {"augmix": {"severity": 3}},
    {"erase": {"share": 0.25}},
    {"mixup": 0.2},
    {"cutmix": 1.0},
)
STRONGER: dict[str, Any] = {
    "flip": 1.0,
    "brightness": 0.6,
    "saturation": 1.0,
    "hue": 0.3,
    "grey": 1.0,
    "blur": {"share": 1.0, "sigma": [1.5, 2.0]},
    "erase": {"share": 1.0},
    "mixup": 10,
}
"""What shows on every tile of the sheet."""
RECIPE = {"crop": {"area": [0.35, 1.0]}, "flip": 0.5, "trivial_augment": 1.0, "cutmix": 1.0}
BILINEAR = v2.InterpolationMode.BILINEAR
THEIRS: dict[str, v2.Transform] = {
    "crop": v2.RandomResizedCrop(SIDE, scale=(0.35, 1.0)),
    "flip": v2.RandomHorizontalFlip(),
    "shift": v2.RandomAffine(0, (0.1, 0.1), interpolation=BILINEAR),
    "scale": v2.RandomAffine(0, scale=(0.8, 1.25), interpolation=BILINEAR),
    "rotate": v2.RandomRotation(15, interpolation=BILINEAR),
    "brightness": v2.ColorJitter(brightness=0.4),
    "contrast": v2.ColorJitter(contrast=0.4),
    "saturation": v2.ColorJitter(saturation=0.4),
    "hue": v2.ColorJitter(hue=0.1),
    "grey": v2.RandomGrayscale(0.2),
    "blur": v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))], 0.5),
    "trivial_augment": v2.TrivialAugmentWide(interpolation=BILINEAR),
    "rand_augment": v2.RandAugment(2, 9, interpolation=BILINEAR),
    "augmix": v2.AugMix(3),
    "erase": v2.RandomErasing(0.25),
    "mixup": v2.MixUp(alpha=0.2, num_classes=2),
    "cutmix": v2.CutMix(alpha=1.0, num_classes=2),
}
BATCHED = ("mixup", "cutmix")


def photographs(count: int) -> torch.Tensor:
    """Return parts of two photographs in turns, uint8 [count, 3, SIDE, SIDE], channels last."""
    found = []
    for index in range(count):
        picture = load_sample_images().images[1 - index % 2]
        off = 20 * (index // 2) % (picture.shape[1] - 427)
        part = Image.fromarray(picture[:, off + 60 * (1 - index % 2) :][:, :427])
        found.append(np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


def ours(named: dict[str, Any], sample: Sample, draws: torch.Generator) -> torch.Tensor:
    """Return the pictures as a recipe of classes would change them."""
    learner = Task.open({"method": "classification"}, ("a", "b"), "benchmark").learner
    return augmented(sample, Changes.model_validate(named), learner, draws).images


def rates(way: Callable[[], object], other: Callable[[], object], rounds: int) -> list[str]:
    """Return the images per second of both, timed in turns."""
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for each, kept in ((way, spent[0]), (other, spent[1])):
            began = time.process_time()
            each()
            if turn:  # the first round warms up
                kept.append(COUNT / (time.process_time() - began))
    return [f"{statistics.median(x):,.0f} ({min(x):,.0f} to {max(x):,.0f})" for x in spent]


def table(rounds: int) -> None:
    """Print a row for each key, and one for a recipe of several."""
    images, label = photographs(COUNT), torch.arange(COUNT) % 2
    sample, draws = Sample(images, {"label": label}), torch.Generator().manual_seed(0)
    print("| key | edgepress | torchvision |\n|---|---|---|")
    for named in KEYS:
        ((name, _),) = named.items()
        way = THEIRS[name]

        def theirs(way: v2.Transform = way, name: str = name) -> object:
            if name in BATCHED:
                return way(images.float(), label)
            return [way(each) for each in images]

        mine, other = rates(lambda named=named: ours(named, sample, draws), theirs, rounds)
        print(f"| `{name}` | {mine} | {other} |", flush=True)
    several = v2.Compose([THEIRS[key] for key in ("crop", "flip", "trivial_augment")])

    def all_of_theirs() -> object:
        return THEIRS["cutmix"](torch.stack([several(each) for each in images]), label)

    mine, other = rates(lambda: ours(RECIPE, sample, draws), all_of_theirs, rounds)
    print(f"| `{'`, `'.join(RECIPE)}` | {mine} | {other} |")


def sheet(path: Path) -> None:
    """Write what every key does to one photograph, its name below."""
    shown = [{}, *({key: STRONGER.get(key, each[key])} for each in KEYS for key in each)]
    columns = 6
    rows = -(-len(shown) // columns)
    canvas = Image.new("RGB", (columns * (TILE + 6), rows * (TILE + 22)), "white")
    write = ImageDraw.Draw(canvas)
    for index, named in enumerate(shown):
        images = photographs(2)
        sample, draws = (
            Sample(images, {"label": torch.arange(2)}),
            torch.Generator().manual_seed(SEED),
        )
        found = ours(named, sample, draws) if named else images
        tile = Image.fromarray(found[0].permute(1, 2, 0).numpy()).resize((TILE, TILE))
        place = (index % columns * (TILE + 6), index // columns * (TILE + 22))
        canvas.paste(tile, place)
        write.text((place[0], place[1] + TILE + 2), next(iter(named), "as it is"), "black")
    canvas.save(path, quality=80)


def main() -> None:
    """Time, or draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--sheet", type=Path, help="write a picture of every key instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.sheet:
        sheet(arguments.sheet)
    else:
        table(arguments.rounds)


if __name__ == "__main__":
    main()
