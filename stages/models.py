"""What train, distill and slim share: images, checkpoint, and the delivery of a Bundle."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgepress.bundles import bundle
from edgepress.bundles.network import Blueprint, Network, build
from edgepress.bundles.weights import begin, given
from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.bundle import WEIGHTS
from edgepress.records.history import History
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Score
from edgepress.records.predictions import Predictions
from edgepress.records.record import sha256_folder
from edgepress.records.selection import Selection
from edgepress.tasks.task import Task
from edgepress.training import answering, loop
from edgepress.training.checkpoint import Checkpoint, run_key
from edgepress.training.examples import Dataset, Normalise
from stages import loading
from stages.decoded import Wanted
from stages.places import MANIFEST, PARAMS, SCRATCH, SELECTION
from stages.progress import Lines
from stages.stage import Stage, refuse_strangers

_HELD = 32
"""Training images on which a network is held against the file that it was made of."""


@dataclass(frozen=True)
class Splits:
    """The kept training images and the whole of the other two splits."""

    train: Dataset
    val: Dataset
    test: Dataset
    task: Task
    test_ids: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """What a trained network was judged on, and its learning curve."""

    splits: Splits
    history: list[dict[str, float]]
    progress: Progress


def read_splits(stage: Stage, progress: Progress) -> Splits:
    """Open the images and labels that models are trained, watched and judged on."""
    task = stage.task(Manifest.read(MANIFEST).classes)
    kept = Selection.read(SELECTION).kept_ids(SELECTION)
    sets = {
        "train": ImageSet.open(MANIFEST, "train", kept),
        "val": ImageSet.open(MANIFEST, "val"),
        "test": ImageSet.open(MANIFEST, "test"),
    }
    opened = {
        name: loading.examples(stage, Wanted(name, images, task), progress)
        for name, images in sets.items()
    }
    return Splits(**opened, task=task, test_ids=tuple(sets["test"].ids))


def begun(
    stage: Stage, section: str, splits: Splits, *, whole: bool = False
) -> tuple[Network, dict[str, str]]:
    """Return the network of a section of params.yaml, and the sha256 of the file it starts from.

    Without `weights`, and where they do not fit, it has those of the run's seed; with `whole` that
    is refused. A backbone that comes with its weights is held against its file on real images.
    """
    torch.manual_seed(stage.seed)
    spec = splits.train.spec
    outputs = splits.task.learner.outputs(spec)
    entries = (stage.raw(f"{section}.backbone"), stage.raw(f"{section}.head"))
    network = build(Blueprint(*entries, spec, outputs, str(PARAMS), section))
    refuse_strangers(stage)  # before the training that would be lost
    weights = given(stage.raw(section), str(PARAMS), section)
    if weights is None:
        return network, _brought(stage, section, network, splits)
    digest, fit = begin(network, weights, f"{PARAMS}: {section}.weights", whole=whole)
    if not stage.follows:
        sys.stderr.write(f"{stage.title}: weights {weights.path}: {fit}\n")
    return network, {"weights": digest}


def _brought(stage: Stage, section: str, network: Network, splits: Splits) -> dict[str, str]:
    """Return the sha256 of the file that a network's backbone was made of, if it was of one."""
    if network.backbone.original is None:
        return {}
    rows = np.linspace(0, len(splits.train) - 1, min(_HELD, len(splits.train))).astype(int)
    ((images, _),) = splits.train.batches([rows])
    prepared = Normalise(splits.train.spec, torch.device("cpu"))(images)
    try:
        origin = network.backbone.origin(prepared)
    except UserError as error:
        raise UserError(f"{PARAMS}: {section}.backbone: {error}") from None
    sys.stderr.write(f"{stage.title}: {origin.told}\n")
    return origin.lineage


def job(
    stage: Stage,
    network: nn.Module,
    splits: Splits,
    checkpoint: Checkpoint,
    progress: Lines,
) -> loop.Job:
    """Return what the methods that train are given."""
    seed, task = stage.seed, splits.task
    return loop.Job(
        network, splits.train, splits.val, seed, task, checkpoint, progress, progress.say
    )


def open_checkpoint(stage: Stage, section: str, *inputs: str) -> Checkpoint:
    """Return the checkpoint of this stage for exactly these inputs, parameters and code."""
    settings = json.dumps([stage.raw(section), stage.raw("task")], sort_keys=True)
    code = stage.execution().digest
    key = run_key(stage.title, settings, str(stage.seed), code, *inputs)
    return Checkpoint(SCRATCH / "checkpoints" / f"{stage.title}-{key}")


def draft(
    stage: Stage, section: str, task: Task, origin: dict[str, str], **inputs: Path
) -> bundle.Draft:
    """Return a Bundle's draft: the entries of `section`, and what it is made from.

    `origin` is the sha256 of what did not come from a stage.
    """
    hashes = {name: sha256_folder(path) for name, path in inputs.items()}
    return bundle.Draft(
        task=task,
        backbone=stage.raw(f"{section}.backbone"),
        head=stage.raw(f"{section}.head"),
        input=stage.section(InputSpec, "input"),
        lineage={"stage": stage.title, "seed": str(stage.seed), **origin, **hashes},
    )


def deliver(
    stage: Stage, path: Path, network: nn.Module, draft: bundle.Draft, trained: Trained
) -> None:
    """Write the Bundle, its learning curve and test answers, and record what it is and how good."""
    splits, history, task = trained.splits, trained.history, trained.splits.task
    answers = answering.answers(network, splits.test, task, trained.progress)
    found = {
        "val": answering.scores(network, splits.val, task),
        "test": task.answers.score(answers, None, splits.test.truth, answering.CONFIDENCE),
    }
    network.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with stage.output(path) as folder:
        record = bundle.save(folder, network, draft)
        History(epochs=tuple(history)).write(folder)
        Predictions.create(folder, splits.test_ids, answers)
        size = (folder / WEIGHTS).stat().st_size
    warn_collapsed(stage.title, found["test"])
    stage.metrics(
        parameters=record.parameters,
        macs=record.macs,
        size_bytes=size,
        scores={name: figures(scores) for name, scores in found.items()},
        train_images=len(splits.train),
        test_images=len(splits.test),
        epochs=len(history),
    )


def figures(scores: tuple[Score, ...]) -> dict[str, float]:
    """Return the scores of the whole, not of single classes, by name."""
    return {score.name: round(score.value.value, 6) for score in scores if score.of is None}


def warn_collapsed(title: str, scores: tuple[Score, ...]) -> None:
    """Say so where a network is no better than an answer that looks at no item."""
    for score in scores:
        if not score.above_constant:
            sys.stderr.write(
                f"{title}: warning: collapsed: {score.name} {score.value.value:.4g} is not "
                f"measurably better than {score.constant:.4g}, what one answer for every item has; "
                "lower learning_rate, train longer, or look at the labels\n"
            )
            return
