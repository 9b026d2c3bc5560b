"""Accuracy on CIFAR-10 after pruning by every method, at equal training steps.

Run: python benchmarks/curation_quality.py FOLDER [--train 50000 --steps 600 --seeds 0 1 2 ...]
FOLDER holds train.parquet and test.parquet (columns image, label). Every run appends one line to
--results and is not repeated; the table and the plot are made from the lines there are.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CONCEPTS = {"concepts": 100, "passes": 2}
SHARED = {
    "duplicate_kept": "farthest", "floor": 1, "class_floor": 0,
    "order": "hard",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "concept_complexity": {
        "method": "concept_complexity", **CONCEPTS, **SHARED, "neighbours": 20, "temperature": 0.1
    },
    "concept_complexity, random rows": {
        "method": "concept_complexity", **CONCEPTS, **SHARED, "neighbours": 20, "temperature": 0.1,
        "order": "random",
    },
    "uniform_concepts": {"method": "uniform_concepts", **CONCEPTS, **SHARED},
    "prototypicality": {"method": "prototypicality", **CONCEPTS, "order": "hard"},
    "deduplicate_only": {
        "method": "deduplicate_only", **CONCEPTS, "duplicate_kept": "farthest",
    },
    "random": {"method": "random"},
}  # fmt: skip
ENCODER = {
    "method": "rotation", "width": 24, "batch": 128, "learning_rate": 0.05,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "weight_decay": 0.0005, "augment": "shift", "precision": "fp32",
}  # fmt: skip
SPEC = {
    "height": 32, "width": 32, "channels": 3,
    "mean": (0.4914, 0.4822, 0.4465), "std": (0.247, 0.2435, 0.2616),
}  # fmt: skip
SETTING = ("train", "copies", "deduplicate", "steps", "width", "epochs")
"""Options that runs must share to stand in one table."""
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Two-sided 95 % points of Student's t by degrees of freedom."""


@dataclass(frozen=True)
class Images:
    """Pixels uint8 [N, H, W, C] and labels int64 [N] of both splits, and train embeddings."""

    train: tuple[Any, Any]
    test: tuple[Any, Any]
    vectors: Any


def read(folder: Path, setting: dict[str, int], scratch: Path) -> Images:
    """Ingest the Parquet files, put near-copies among the training images, embed by rotation."""
    from edgepress.data.images import ImageSet
    from edgepress.data.ingestion import Rules, build_manifest
    from edgepress.data.splits import Fractions
    from edgepress.encoders.request import Request
    from edgepress.methods import resolve
    from edgepress.records.inputs import InputSpec

    manifest, embeddings = scratch / "manifest", scratch / "embeddings.npy"
    if not embeddings.is_file():
        shutil.rmtree(scratch, ignore_errors=True)
        manifest.mkdir(parents=True)
        raw = {"method": "parquet", "path": str(folder), "image": "image", "label": "label"}
        source = resolve("data.sources", raw, "benchmark", "source")
        rules = Rules(split=Fractions(val=0.01, test=0.2), limit=setting["train"])
        build_manifest(source(manifest), manifest, rules)
    spec = InputSpec(**SPEC)
    sets = {split: ImageSet.open(manifest, split) for split in ("train", "test")}
    pixels = {split: (each.pixels(spec), each.labels) for split, each in sets.items()}
    train = with_copies(*pixels["train"], setting["copies"])
    if not embeddings.is_file():
        raw = {**ENCODER, "epochs": setting["epochs"]}
        fit = resolve("encoders", raw, "benchmark", "embed")
        encoder = fit(Request(sets["train"], spec, 0))
        starts = range(0, len(train[0]), encoder.batch)
        vectors = [encoder.vectors(train[0][i : i + encoder.batch]) for i in starts]
        with embeddings.with_suffix(".part").open("wb") as file:
            np.save(file, np.concatenate(vectors))
        embeddings.with_suffix(".part").replace(embeddings)
    return Images(train, pixels["test"], np.load(embeddings))


def with_copies(pixels: Any, labels: Any, copies: int) -> tuple[Any, Any]:
    """Append near-copies of a fifth of the images, few of them copied often, as on the web.

    A copy is moved by up to a pixel, made up to 5 % lighter or darker, and given a little noise.
    """
    rng = np.random.default_rng(7)
    popular = rng.permutation(len(pixels))[: len(pixels) // 5]
    weights = 1 / (1 + np.arange(len(popular)))
    picks = rng.choice(popular, copies, p=weights / weights.sum())
    made = np.empty((copies, *pixels.shape[1:]), np.uint8)
    for place, pick in enumerate(picks):
        down, right = rng.integers(0, 3, 2)
        moved = np.pad(pixels[pick], ((1, 1), (1, 1), (0, 0)), "edge")
        moved = moved[down : down + pixels.shape[1], right : right + pixels.shape[2]]
        noise = rng.normal(0, 2, moved.shape)
        made[place] = np.clip(moved * rng.uniform(0.95, 1.05) + noise, 0, 255)
    return np.concatenate([pixels, made]), np.concatenate([labels, labels[picks]])


def choose(images: Images, method: str, keep: float, deduplicate: float, seed: int) -> Any:
    """Return the rows of the training images to keep."""
    from edgepress.curation.curate import prune

    if method == "all":
        return np.arange(len(images.vectors))
    params = {"keep": keep, **METHODS[method]}
    if "floor" in params:
        params["deduplicate"] = deduplicate
    return np.flatnonzero(prune(images.vectors, params, seed))


def accuracy(images: Images, rows: Any, steps: int, width: int, seed: int) -> float:
    """Train the small network for `steps` steps on the rows given; return the test accuracy."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = _network(width)
    settings = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    optimiser = torch.optim.SGD(network.parameters(), **settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, steps)
    rng = np.random.default_rng(seed)
    pixels, labels = images.train
    order = rows[rng.permutation(len(rows))]
    place = 0
    for _ in range(steps):
        if place + 128 > len(order):
            order, place = rows[rng.permutation(len(rows))], 0
        batch = order[place : place + 128]
        place += 128
        inputs = _augmented(_tensor(pixels[batch]), rng)
        loss = nn.functional.cross_entropy(network(inputs), torch.from_numpy(labels[batch]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images.test[1]), 500):
            found = network(_tensor(images.test[0][start : start + 500])).argmax(1).numpy()
            right += int((found == images.test[1][start : start + 500]).sum())
    return right / len(images.test[1])


def _network(width: int) -> Any:
    from torch import nn

    layers: list[Any] = []
    channels = 3
    for stage in range(3):
        for stride in (1 if stage == 0 else 2, 1):
            out = width * 2**stage
            layers += [
                nn.Conv2d(channels, out, 3, stride, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels = out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    return nn.Sequential(*layers)


def _tensor(pixels: Any) -> Any:
    import torch

    mean, std = (torch.tensor(SPEC[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def _augmented(inputs: Any, rng: Any) -> Any:
    """Flip half of the batch and shift all of it by up to four pixels."""
    import torch

    flip = torch.from_numpy(rng.random(len(inputs)) < 0.5)
    inputs[flip] = inputs[flip].flip(3)
    down, right = (int(value) for value in rng.integers(0, 9, 2))
    padded = torch.nn.functional.pad(inputs, (4, 4, 4, 4))
    return padded[:, :, down : down + 32, right : right + 32]


def table(results: list[dict[str, Any]], fractions: list[float]) -> str:
    """Return a Markdown table of mean accuracy with 95 % intervals, in per cent."""
    lines = ["| | " + " | ".join(f"{fraction:.0%}" for fraction in fractions) + " |"]
    lines.append("|---|" + "---|" * len(fractions))
    for method in [*METHODS, "all"]:
        cells = [_cell(results, method, 1.0 if method == "all" else f) for f in fractions]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(results: list[dict[str, Any]], fractions: list[float], base: str) -> str:
    """Return a Markdown table of accuracy less that of `base` at the same seed, in points."""
    lines = [f"| less {base} | " + " | ".join(f"{fraction:.0%}" for fraction in fractions) + " |"]
    lines.append("|---|" + "---|" * len(fractions))
    for method in [method for method in [*METHODS, "all"] if method != base]:
        cells = [_difference(results, method, base, fraction) for fraction in fractions]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(results: list[dict[str, Any]], method: str, base: str, keep: float) -> str:
    mine = _by_seed(results, method, 1.0 if method == "all" else keep)
    other = _by_seed(results, base, keep)
    found = [mine[seed] - other[seed] for seed in mine.keys() & other.keys()]
    if len(found) < 2:
        return "-"
    return f"{100 * statistics.mean(found):+.2f} ± {100 * _half(found):.2f}"


def _by_seed(results: list[dict[str, Any]], method: str, keep: float) -> dict[int, float]:
    wanted = [r for r in results if r["method"] == method and r["keep"] == keep]
    return {r["seed"]: r["accuracy"] for r in wanted}


def _cell(results: list[dict[str, Any]], method: str, keep: float) -> str:
    mean, half, count = interval(results, method, keep)
    return f"{100 * mean:.2f} ± {100 * half:.2f} ({count})" if count else "-"


def interval(results: list[dict[str, Any]], method: str, keep: float) -> tuple[float, float, int]:
    """Return mean accuracy, half its 95 % interval (nan for one run), and the number of runs."""
    found = list(_by_seed(results, method, keep).values())
    if len(found) < 2:
        return (found or [math.nan])[0], math.nan, len(found)
    return statistics.mean(found), _half(found), len(found)


def _half(values: list[float]) -> float:
    """Return half the 95 % interval of the mean, by Student's t."""
    return T95.get(len(values) - 1, 1.96) * statistics.stdev(values) / math.sqrt(len(values))


def plot(results: list[dict[str, Any]], fractions: list[float], path: Path) -> None:
    """Draw accuracy against the share kept, one line per method, all data as a band."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for place, method in enumerate(METHODS):
        aside = 0.005 * (place - len(METHODS) / 2)  # so that whiskers do not hide each other
        points = [(f + aside, *interval(results, method, f)) for f in fractions]
        points = [point for point in points if point[3]]
        if points:
            share, mean, half, _ = zip(*points, strict=True)
            axes.errorbar(share, mean, half, label=method, capsize=2, marker="o", markersize=3)
    mean, half, count = interval(results, "all", 1.0)
    if count:
        axes.axhline(mean, color="#555555", linewidth=1, label="all data")
        axes.axhspan(mean - half, mean + half, color="#555555", alpha=0.12)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, 0))
    axes.set_xlabel("Share of the training images kept")
    axes.set_ylabel("Test accuracy, equal training steps")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run what is missing from the results, then print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("folder", nargs="?", type=Path)
    add("--train", type=int, default=50_000, help="training images, chosen by id hash")
    add("--copies", type=int, default=0, help="near-copies put among the training images")
    add("--deduplicate", type=float, default=0.99, help="cosine above which images are copies")
    add("--steps", type=int, default=600)
    add("--width", type=int, default=16, help="channels of the network's first stage")
    add("--epochs", type=int, default=2, help="of the rotation encoder")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--fractions", type=float, nargs="+", default=[0.2, 0.3, 0.5, 0.7])
    add("--methods", nargs="+", default=["all", *METHODS])
    add("--results", type=Path, default=Path("build/curation_quality.jsonl"))
    add("--plot", type=Path, default=Path("docs/images/curation-quality.png"))
    arguments = parser.parse_args()
    if arguments.folder is None:
        print("give the folder of CIFAR-10's train.parquet and test.parquet; skipped")
        return
    results = _run(arguments)
    print(table(results, arguments.fractions))
    print(differences(results, arguments.fractions, "random"))
    plot(results, arguments.fractions, arguments.plot)


def _run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    path: Path = arguments.results
    path.parent.mkdir(parents=True, exist_ok=True)
    setting = {key: getattr(arguments, key) for key in SETTING}
    lines = path.read_text().splitlines() if path.is_file() else []
    results = [line for line in map(json.loads, lines) if line["setting"] == setting]
    done = {(line["method"], line["keep"], line["seed"]) for line in results}
    todo = [
        (method, keep, seed)
        for seed in arguments.seeds
        for method in arguments.methods
        for keep in ([1.0] if method == "all" else arguments.fractions)
        if (method, keep, seed) not in done
    ]
    if not todo:
        return results
    name = "-".join(str(setting[key]) for key in ("train", "copies", "epochs"))
    images = read(arguments.folder, setting, path.parent / f"curation_quality-{name}")
    for method, keep, seed in todo:
        began = time.monotonic()
        rows = choose(images, method, keep, arguments.deduplicate, seed)
        score = accuracy(images, rows, arguments.steps, arguments.width, seed)
        line = {
            "method": method, "keep": keep, "seed": seed, "accuracy": score, "rows": len(rows),
            "setting": setting,
        }  # fmt: skip
        results.append(line)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        seconds = time.monotonic() - began
        sys.stderr.write(f"{method} {keep} seed {seed}: {score:.4f} in {seconds:.0f} s\n")
    return results


if __name__ == "__main__":
    main()
