"""Detection on BCCD against LibreYOLO and torchvision's SSDLite.

The same images and the set's own split, from scratch, the same processor seconds of training for
all on one thread each; three seeds. Ours is a preset's recipe with timm's smallest ResNet, theirs
are scripts of benchmarks/rivals in an environment of their own, whose Python `--rivals` names. All
answers are judged by pycocotools on the same test pictures.
Run: python benchmarks/detection.py VOC_FOLDER [--rivals PYTHON] [--seconds 300] [--seeds 3]
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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from whole_set import RECIPE, SPLITS, Data, Setting, read, trained

from edgepress.data.images import ImageSet
from edgepress.data.placement import placement
from edgepress.records.inputs import InputSpec
from edgepress.training.answering import answers

RIVALS = Path(__file__).parent / "rivals"
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


def main() -> None:
    """Train by all, and print each seed's mean AP."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rivals", type=Path, help="a Python that has libreyolo and torchvision")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judged", choices=("val", "test"), default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        detection(given, Path(scratch))


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
