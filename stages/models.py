"""What train, distill and slim share: images, checkpoint, and the delivery of a Bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from edgepress.backbones import bundle
from edgepress.backbones.counting import parameters
from edgepress.data.images import ImageSet
from edgepress.records.bundle import WEIGHTS
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_folder, write_atomically
from edgepress.records.selection import Selection
from edgepress.training import loop
from edgepress.training.checkpoint import Checkpoint, run_key
from edgepress.training.examples import Examples
from stages.stage import Stage

MANIFEST = Path("data/manifest")
SELECTION = Path("data/selection")
STATE = Path(".edgepress")


@dataclass(frozen=True)
class Splits:
    """The kept training images and the whole of the other two splits."""

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]


def read_splits(stage: Stage) -> Splits:
    """Decode the images that models are trained, watched and judged on."""
    spec = stage.section(InputSpec, "input")
    kept = Selection.read(SELECTION).kept_ids(SELECTION)
    sets = {
        "train": ImageSet.open(MANIFEST, "train", kept),
        "val": ImageSet.open(MANIFEST, "val"),
        "test": ImageSet.open(MANIFEST, "test"),
    }
    decoded = {
        name: Examples(images.pixels(spec), images.labels, spec) for name, images in sets.items()
    }
    return Splits(**decoded, classes=sets["train"].classes)


def open_checkpoint(stage: Stage, section: str, *inputs: str) -> Checkpoint:
    """Return the checkpoint of this stage for exactly these inputs, parameters and code."""
    settings = json.dumps(stage.raw(section), sort_keys=True)
    key = run_key(stage.title, settings, str(stage.seed), *inputs)
    return Checkpoint(STATE / "checkpoints" / f"{stage.title}-{key}")


@contextmanager
def progress(stage: Stage) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of steps on a terminal; stay silent elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(stage.title)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def deliver(
    stage: Stage, path: str, network: nn.Module, draft: bundle.Draft, outcome: Outcome
) -> None:
    """Write the Bundle and its learning curve, and record what the model is and how good."""
    splits, history = outcome.splits, outcome.history
    answers = {name: loop.accuracy(network, getattr(splits, name)) for name in ("val", "test")}
    network.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with stage.output(path) as folder:
        record = bundle.save(folder, network, draft)
        write_atomically(folder / "history.json", json.dumps(history, indent=1) + "\n")
        size = (folder / WEIGHTS).stat().st_size
    stage.metrics(
        parameters=parameters(network),
        macs=record.macs,
        size_bytes=size,
        val_accuracy=round(answers["val"], 6),
        test_accuracy=round(answers["test"], 6),
        train_images=len(splits.train),
        test_images=len(splits.test),
        epochs=len(history),
    )


@dataclass(frozen=True)
class Outcome:
    """What a trained network was judged on, and its learning curve."""

    splits: Splits
    history: list[dict[str, float]]


def lineage(stage: Stage, **inputs: Path) -> dict[str, str]:
    """Return what a model was made from: stage, seed, and the sha256 of each input folder."""
    hashes = {name: sha256_folder(path) for name, path in inputs.items()}
    return {"stage": stage.title, "seed": str(stage.seed), **hashes}
