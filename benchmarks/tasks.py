"""Detection on BCCD against LibreYOLO and torchvision's SSDLite; keypoints split two ways.

`detection`: the same images and the set's own split, from scratch, the same processor seconds of
training for all on one thread each; three seeds. Ours is a preset's recipe with timm's smallest
ResNet, theirs are scripts of benchmarks/rivals in an environment of their own, whose Python
`--rivals` names. All answers are judged by pycocotools on the same test pictures.
`keypoints`: one video's frames in folds, so that each is judged once by a network that did not
learn it: drawn at random, by groups of near-copies, and by stretches of time; the same network,
recipe and seeds. What random folds score above the others is what their leak is worth.
Run: python benchmarks/tasks.py detection VOC_FOLDER [--rivals PYTHON] [--seconds 300] [--seeds 3]
     python benchmarks/tasks.py keypoints COCO_FOLDER [--epochs 40] [--folds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgepress.bundles.network import Blueprint, build
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.placement import placement
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.training.answering import answers
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

RIVALS = Path(__file__).parent / "rivals"
SPLITS = ("train", "val", "test")
RECIPE: dict[str, Any] = {
    "method": "supervised",
    "weight_decay": 5e-4,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "precision": "fp32",
    "label_smoothing": 0.0,
}


@dataclass(frozen=True)
class Setting:
    """What is learnt, from what, by which network and recipe."""

    task: dict[str, Any]
    source: dict[str, Any]
    spec: InputSpec
    backbone: dict[str, Any]
    head: dict[str, Any]
    recipe: dict[str, Any]


CELLS = Setting(
    {
        "method": "detection",
        "strides": [8, 16, 32],
        "most_objects": 50,
        "most_answers": 100,
        "least_score": 0.05,
        "overlap": 0.6,
        "sure": 0.4,
    },
    {"method": "voc", "classes": None, "first_pixel": 1},
    InputSpec(height=256, width=256, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3, fit="letterbox"),
    {"method": "timm", "model": "test_resnet", "pretrained": False},
    {"method": "decoupled", "width": 32, "depth": 1},
    {
        **RECIPE,
        "batch": 4,
        "learning_rate": 0.03,
        "augment": {"flip": 0.5, "shift": 0.1, "scale": [0.8, 1.25]},
    },
)
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


@dataclass(frozen=True)
class Data:
    """The three splits as they were ingested and as they are learnt."""

    task: Task
    images: dict[str, ImageSet]
    examples: dict[str, Examples]


def main() -> None:
    """Run the comparison that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words = parser.add_subparsers(required=True)
    cells = words.add_parser("detection")
    cells.add_argument("folder", type=Path)
    cells.add_argument("--rivals", type=Path, help="a Python that has libreyolo and torchvision")
    cells.add_argument("--seconds", type=float, default=300)
    cells.add_argument("--seeds", type=int, default=3)
    cells.add_argument("--judged", choices=("val", "test"), default="test")
    cells.set_defaults(run=detection)
    mouse = words.add_parser("keypoints")
    mouse.add_argument("folder", type=Path)
    mouse.add_argument("--epochs", type=int, default=40)
    mouse.add_argument("--folds", type=int, default=5)
    mouse.set_defaults(run=keypoints)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        given.run(given, Path(scratch))


def detection(given: argparse.Namespace, scratch: Path) -> None:
    """Print each seed's mean AP for all, and the means."""
    data = read(CELLS, given.folder, None, scratch / "manifest")
    print(", ".join(f"{split} {len(data.images[split])}" for split in SPLITS), flush=True)
    write(data, scratch / "set", given.judged)
    ways: dict[str, Callable[[int, Path], dict[str, Any]]] = {
        "edgepress": lambda seed, out: ours(data, given, seed, out)
    }
    for script in sorted(RIVALS.glob("*.py")) if given.rivals else ():
        ways[script.stem] = lambda seed, out, script=script: theirs(script, given, seed, out)
    found: dict[str, list[float]] = {}
    for seed in range(given.seeds):
        for name, way in ways.items():
            out = scratch / f"{name}_{seed}"
            out.mkdir()
            said = way(seed, out)
            ap, ap_50 = judged(scratch / "set" / "test.json", out / "answers.json")
            found.setdefault(name, []).append(ap_50)
            print(
                f"seed {seed} {name:<20} {said['parameters'] / 1e6:.2f} M {said['epochs']:>4} "
                f"epochs {said['seconds']:5.0f} s of processor  mAP50 {ap_50:.4f}  mAP {ap:.4f}",
                flush=True,
            )
    for name, values in found.items():
        print(
            f"{name:<20} mAP50 mean {np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"
        )


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


def read(setting: Setting, folder: Path, group: dict[str, Any] | None, out: Path) -> Data:
    """Ingest the set and decode it at the model's size."""
    task = ingested(setting, folder, group, out)
    images = {split: ImageSet.open(out, split) for split in SPLITS}
    examples = {split: learnable(these, task, setting.spec) for split, these in images.items()}
    return Data(task, images, examples)


def ingested(setting: Setting, folder: Path, group: dict[str, Any] | None, out: Path) -> Task:
    """Write the set's manifest into `out` and return the task."""
    source = resolve("data.sources", {**setting.source, "path": str(folder)}, "benchmark", "source")
    share = {"val": 0.1, "test": 0.2, "group": group}
    rules = Rules.model_validate({"split": share, "limit": None})
    listing = source(out)
    task = Task.open(setting.task, listing.classes, "benchmark")
    build_manifest(listing, out, rules, Labelling(task.entry, task.labels))
    return task


def learnable(images: ImageSet, task: Task, spec: InputSpec) -> Examples:
    """Decode images and their truths at the model's size."""
    return Examples(images.pixels(spec), images.truth(task.labels, spec), spec)


def trained(
    setting: Setting, task: Task, examples: Examples, seed: int, epochs: int
) -> torch.nn.Module:
    """Return the network after training as the stage trains."""
    torch.manual_seed(seed)
    outputs = task.learner.outputs(setting.spec)
    network = build(Blueprint(setting.backbone, setting.head, setting.spec, outputs))
    recipe = resolve("training", {**setting.recipe, "epochs": epochs}, "benchmark", "train.recipe")
    recipe(Job(network, examples, None, seed, task))
    return network


def ours(data: Data, given: argparse.Namespace, seed: int, out: Path) -> dict[str, Any]:
    """Train for so many epochs as fit, answer the test pictures in their own pixels."""
    spent = []
    for epochs in (1, 1, 3):  # the first pays for set-up
        began = time.process_time()
        trained(CELLS, data.task, data.examples["train"], seed, epochs)
        spent.append(time.process_time() - began)
    epochs = max(1, round(given.seconds / ((spent[2] - spent[1]) / 2)))
    began = time.process_time()
    network = trained(CELLS, data.task, data.examples["train"], seed, epochs)
    took = time.process_time() - began
    told = answers(network, data.examples[given.judged], data.task)
    found = []
    for row, label in enumerate(data.images[given.judged].labels):
        place = placement((label["width"], label["height"]), CELLS.spec)
        corner, scale = np.tile([place.left, place.top], 2), np.tile(place.scale, 2)
        for rank in np.flatnonzero(told["category"][row] >= 0):
            left, top, right, bottom = ((told["boxes"][row, rank] - corner) / scale).tolist()
            found.append(
                {
                    "image_id": row + 1,
                    "category_id": int(told["category"][row, rank]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(told["scores"][row, rank]),
                }
            )
    (out / "answers.json").write_text(json.dumps(found))
    size = sum(each.numel() for each in network.parameters())
    return {"epochs": epochs, "seconds": took, "parameters": size}


def theirs(script: Path, given: argparse.Namespace, seed: int, out: Path) -> dict[str, Any]:
    """Run a rival's script in its own environment."""
    folder = out.parent / "set"
    values = (
        folder / "data.yaml",
        folder / "test.json",
        out,
        given.seconds,
        seed,
        CELLS.spec.width,
    )
    done = subprocess.run(
        [str(given.rivals), str(script), *map(str, values)],
        capture_output=True,
        text=True,
        check=False,
        cwd=out,
    )
    if done.returncode:
        sys.exit(f"{script.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads((out / "trained.json").read_text())
    return said


def write(data: Data, out: Path, judged: str) -> None:
    """Write the splits as a YOLO folder, and COCO's JSON of the pictures that are judged."""
    named = {"train": data.images["train"], "val": data.images["val"], "test": data.images[judged]}
    for split, images in named.items():
        pictures, lines = out / "images" / split, out / "labels" / split
        pictures.mkdir(parents=True)
        lines.mkdir(parents=True)
        for row, label in enumerate(images.labels):
            (pictures / f"{row:05}.jpg").write_bytes(images.encoded(row))
            (lines / f"{row:05}.txt").write_text("".join(yolo(label)))
    names = "".join(f"  {at}: {name}\n" for at, name in enumerate(data.task.classes))
    (out / "data.yaml").write_text(
        f"path: {out}\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}"
    )
    (out / "test.json").write_text(json.dumps(coco(named["test"], data.task.classes)))


def yolo(label: dict[str, Any]) -> list[str]:
    """Return YOLO's lines of one picture."""
    wide, high = label["width"], label["height"]
    return [
        f"{category} {(left + right) / 2 / wide} {(top + bottom) / 2 / high} "
        f"{(right - left) / wide} {(bottom - top) / high}\n"
        for category, (left, top, right, bottom) in zip(
            label["categories"], label["boxes"], strict=True
        )
    ]


def coco(images: ImageSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return COCO's annotations of the pictures."""
    listed, objects = [], []
    for row, label in enumerate(images.labels):
        size = {"width": label["width"], "height": label["height"]}
        listed.append({"id": row + 1, "file_name": f"{row:05}.jpg", **size})
        for category, box, area in zip(
            label["categories"], label["boxes"], label["areas"], strict=True
        ):
            left, top, right, bottom = box
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": row + 1,
                    "category_id": category + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": area,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": at + 1, "name": name} for at, name in enumerate(classes)]
    return {"images": listed, "annotations": objects, "categories": categories}


def judged(truth: Path, found: Path) -> tuple[float, float]:
    """Return mAP and mAP50 as pycocotools has them."""
    with contextlib.redirect_stdout(io.StringIO()):
        real = COCO(str(truth))
        rated = json.loads(found.read_text())
        if not rated:
            return 0.0, 0.0
        judge = COCOeval(real, real.loadRes(rated), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


if __name__ == "__main__":
    main()
