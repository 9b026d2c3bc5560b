"""The training loop: a recipe's parts put together, resumable to the step.

Every random draw is seeded by (seed, epoch) or (seed, step), so that a killed and resumed run
ends with the same weights as an undisturbed one on the same machine.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from edgepress.errors import UserError
from edgepress.progress import Progress, Say, silent, unheard, unsaid
from edgepress.tasks.balance import Shown
from edgepress.tasks.task import Learner, Task, joined
from edgepress.training import machine, parted
from edgepress.training.answering import answers
from edgepress.training.augment import augmented
from edgepress.training.checkpoint import Checkpoint, Position, begun_alike
from edgepress.training.draws import of_step
from edgepress.training.examples import Dataset, Normalise, Rows
from edgepress.training.freezing import Freezing
from edgepress.training.groups import grouped
from edgepress.training.kept import Kept
from edgepress.training.largest import largest, trial
from edgepress.training.mixing import Sample
from edgepress.training.optimizers.optimizer import Optimizer
from edgepress.training.pace import Pace
from edgepress.training.ranks import Ranks
from edgepress.training.recipe import Recipe
from edgepress.training.recomputing import recomputing
from edgepress.training.refusals import refusals
from edgepress.training.sampling import drawn
from edgepress.training.scaling import Scaling
from edgepress.training.summed import Summed
from edgepress.training.watch import Watch, sound
from edgepress.training.windows import windowed

SECONDS_BETWEEN_CHECKPOINTS = 15.0
SHARE_OF_CHECKPOINTS = 0.02
"""Most of the time that they may take: a large network is kept less often."""


@dataclass(frozen=True)
class Batch:
    """One step: normalised images [N, C, H, W], their truths, rows of the training set [N]."""

    inputs: Tensor
    truth: dict[str, Tensor]
    rows: Tensor

    def split(self, sizes: tuple[int, ...]) -> Iterator[Batch]:
        """Yield the images in parts of these sizes."""
        first = 0
        for last in itertools.accumulate(sizes):
            truth = {name: values[first:last] for name, values in self.truth.items()}
            yield Batch(self.inputs[first:last], truth, self.rows[first:last])
            first = last


Objective = Callable[[nn.Module, Batch], dict[str, Tensor]]
"""Maps a network and a batch to scalars: `loss`, which is made small, and others worth a curve."""


@dataclass(frozen=True)
class Job:
    """A network to train, the images to train and to watch it on, and where to keep checkpoints."""

    network: nn.Module
    train: Dataset
    val: Dataset | None
    """None watches nothing."""
    seed: int
    task: Task | None
    """None where the objective needs no labels; nothing is watched then."""
    checkpoint: Checkpoint | None = None
    progress: Progress = silent
    say: Say = unsaid
    """Hears a line at the end of each epoch."""
    heard: Callable[[dict[str, float]], None] = unheard
    """Hears the record of each epoch, of those before a resumption too."""

    @property
    def learner(self) -> Learner:
        """How the task is learnt; a job without a task has nothing to ask."""
        if self.task is None:
            raise ValueError("this method learns from labels and needs a task")
        return self.task.learner

    def shown(self) -> Shown:
        """Return which class is on which training image; only a task's truth can tell."""
        if self.task is None or self.task.balance is None:
            raise ValueError("no classes are told of these images")
        return self.task.balance.shown(self.train.truth)


def fit(job: Job, recipe: Recipe, objective: Objective) -> list[dict[str, float]]:
    """Train job.network in place; return one record per epoch; stop where the loss diverges."""
    if len(job.train) < 2:
        raise UserError(f"training: {len(job.train)} images are too few; curate or ingest more")
    for key, reason in refusals(recipe, job.task):
        raise UserError(f"training: {key}: {reason}")
    if (job.val is None or job.task is None) and (recipe.keep == "best" or recipe.patience):
        raise UserError("training: nothing is scored here; set keep: last and patience: null")
    machine.refuse(recipe.precision, recipe.batch, machine.device())
    with recomputing(job.network, recipe.checkpointing):
        return _Run(job, recipe, objective).finish()


class _Run:
    def __init__(self, job: Job, recipe: Recipe, objective: Objective) -> None:
        self.ranks = Ranks.of(recipe.engine.params)
        quiet = {"checkpoint": None, "progress": silent, "say": unsaid, "heard": unheard}
        self.job = job if self.ranks.first else replace(job, **quiet)  # type: ignore[arg-type]
        self.recipe, self.objective = recipe, objective
        self.device = machine.device()
        self.network = machine.place(job.network, self.device)
        self.layout = machine.layout(self.network, self.device)
        self.called = self.network
        if recipe.compile:
            self.called = cast(nn.Module, torch.compile(self.network))
        self.normalise = Normalise(job.train.spec, self.device)
        self.optimizer: Optimizer = recipe.optimizer(grouped(self.network, recipe))
        self.freezing = Freezing(self.network, recipe.freeze)
        self.often = recipe.sampler(job.shown)
        self.at = Position(step=0, history=[], sums={})
        self.kept = Kept(self.network, recipe)
        kept = self.kept.tensors
        self.scaling = Scaling(kept, recipe.precision == "fp16")
        state = (self.network, self.optimizer, kept)
        restored = begun_alike(self.job.checkpoint, self.ranks, *state)
        self.at = restored or self.at
        self._deal(self._batch())
        self.steps = max(1, len(job.train) // self.batch)
        self.total = self.steps * recipe.epochs
        if restored:
            self.job.say(f"resumed at step {restored.step:,} of {self.total:,}")
            for line in restored.history:
                self.job.heard(line)
        self.saved, self.took = time.monotonic(), 0.0
        self.good = self.at.step
        self.pace, self.watch = Pace(recipe.epochs), Watch(self.at.history)

    def _batch(self) -> int:
        """Return the images of a step: those asked for, found before, or found by trial now."""
        most = len(self.job.train)
        if self.recipe.batch != "auto":
            return min(self.recipe.batch, most)
        self.at.batch = self.at.batch or largest(self._fits, most)
        if not self.at.batch:
            raise UserError("training: batch auto: not even 2 images fit; take a smaller network")
        return self.at.batch

    def _deal(self, images: int) -> None:
        """Make steps of so many images, of which this worker does its share."""
        self.batch = images
        self.share = self.ranks.share(images, self.recipe.accumulate)
        self.seen = parted.needed(self.recipe.augment, self.share.rows, images)
        self.summed = Summed(self.network, self.ranks, self.share)

    def _fits(self, size: int) -> bool:
        """Tell whether a step of so many images fits the device's memory."""
        self._deal(size)
        rows = np.arange(size)
        ((images, truth),) = self.job.train.batches([rows])
        self.called.train()
        try:
            with trial(self.network):
                self._learn(self._given(rows, images, truth, 0))
        except torch.OutOfMemoryError:
            return False
        return True

    def finish(self) -> list[dict[str, float]]:
        while not self.kept.ends(self.at.history):
            self._epoch(len(self.at.history))
        self.kept.deliver()
        if told := self.kept.mark(self.at.history):
            self.job.say(told)
        self.freezing.end()
        self.network.to("cpu")
        return self.at.history

    def _epoch(self, epoch: int) -> None:
        draws = np.random.default_rng([self.job.seed, epoch])
        order = drawn(self.often, len(self.job.train), draws)
        order = windowed(order, self.job.train.stored, [self.job.seed, epoch])
        sums: dict[str, Tensor] = {}
        self.called.train()
        begun = self.at.step - epoch * self.steps
        rows = order[begun * self.batch : self.steps * self.batch].reshape(-1, self.batch)
        batches = self.pace.loaded(self.job.train.batches(rows[:, self.seen]), self.batch)
        for some, (images, truth) in zip(rows, batches, strict=True):
            found = self._step(some, images, truth)
            for name, value in found.items():
                sums[name] = sums[name] + value if name in sums else value.double()
            self.at.step += 1
            self.watch.step(self.at.step, found["loss"])
            self.kept.step(self.at.step)
            if self._due(SECONDS_BETWEEN_CHECKPOINTS):
                self._collect(sums)
                self._save()
                sums = {}
            self.job.progress("training", self.at.step, self.total, self._said())
        self._collect(sums)
        self._close_epoch(epoch)

    def _said(self) -> str:
        """Return loss and score after the last whole epoch."""
        if not self.at.history:
            return ""
        last = self.at.history[-1]
        scores = [f"{name} {value:.4g}" for name, value in last.items() if name.startswith("val_")]
        return ", ".join([f"epoch {last['epoch']:g}: loss {last['loss']:.4g}", *scores])

    def _step(self, rows: Rows, images: Tensor, truth: dict[str, Tensor]) -> dict[str, Tensor]:
        step = self.at.step
        self.freezing.step(step / self.total)
        found = self._learn(self._given(rows, images, truth, step))
        if self.scaling.ready(self.network.parameters()):
            if self.recipe.clip is not None:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
            self.optimizer.step(self.recipe.schedule((step + 1) / self.total))
        return found

    def _given(self, rows: Rows, images: Tensor, truth: dict[str, Tensor], step: int) -> Batch:
        """Return what the network is given of a step's images."""
        job = self.job
        generator = of_step(job.seed, step)
        images = images.to(self.device, non_blocking=True)
        truth = {name: values.to(self.device, non_blocking=True) for name, values in truth.items()}
        learner = job.task.learner if job.task else None
        sample = parted.among(Sample(images, truth), self.share.rows, self.batch)
        sample = augmented(sample, self.recipe.augment, learner, generator)
        sample = parted.own(sample, self.share.rows)
        inputs = machine.arrange(self.normalise(sample.images), self.layout)
        return Batch(inputs, sample.truth, torch.from_numpy(rows[self.share.rows]))

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        """Leave the gradients of a step's images; return the means of the objective's scalars."""
        means: dict[str, Tensor] = {}
        self.network.zero_grad()
        self.summed.begin()
        for part in batch.split(self.share.passes):
            share = len(part.rows) / self.batch
            with machine.autocast(self.recipe.precision, self.device):
                found = self.objective(self.called, part)
            self.scaling.scaled(found["loss"] * share).backward()  # type: ignore[no-untyped-call]
            for name, value in found.items():
                means[name] = means.get(name, 0.0) + value.detach() * share
        return self.summed.finish(means)

    def _collect(self, sums: dict[str, Tensor]) -> None:
        self.watch.look(self._advice())
        for name, value in sums.items():
            self.at.sums[name] = self.at.sums.get(name, 0.0) + float(value)

    def _advice(self) -> str:
        said = f"lower learning_rate (now {self.recipe.learning_rate}), or set clip"
        if self.job.checkpoint and self.good:
            said += (
                f"; what was learnt until step {self.good} is kept in {self.job.checkpoint.folder}"
            )
        return said

    def _close_epoch(self, epoch: int) -> None:
        at = self.at
        means = {name: round(value / self.steps, 6) for name, value in at.sums.items()}
        line = {"epoch": epoch + 1, "loss": means.pop("loss")}
        line.update({f"train_{name}": value for name, value in means.items()})
        if self.job.val is not None and self.job.task is not None:
            with self.pace.judging(), self.kept.judged():
                score = self._score(self.job.val, self.job.task)
                line[f"val_{next(iter(self.job.task.answers.units))}"] = score
                self.kept.judge([*at.history, line])
        rate = self.recipe.learning_rate * self.recipe.schedule(at.step / self.total)
        tried = {"batch": at.batch} if at.batch else {}
        at.history.append({**line, "learning_rate": round(rate, 8), **tried})
        self.job.say(self.pace.epoch(at.history[-1]))
        self.job.heard(at.history[-1])
        at.sums = {}
        if self.recipe.epochs > epoch + 1 and self._due(2.0):
            self._save()

    def _score(self, val: Dataset, task: Task) -> float:
        """Return the network's first score; the workers answer a part of the images each."""
        part = self.ranks.part(len(val))
        own = answers(self.network, val, task, rows=part) if part else {}
        found = self.ranks.gathered(own)
        score = task.answers.first_score(joined(found), val.truth) if self.ranks.first else 0.0
        return self.ranks.told(score)

    def _due(self, least: float) -> bool:
        """Tell whether so many seconds have passed since a checkpoint, and it was worth its own."""
        passed = time.monotonic() - self.saved
        return passed > least and passed * SHARE_OF_CHECKPOINTS > self.took

    def _save(self) -> None:
        started = time.monotonic()
        if self.job.checkpoint and sound(self.network):
            self.job.checkpoint.save(self.network, self.optimizer, self.at, self.kept.tensors)
            self.good = self.at.step
        self.saved = time.monotonic()
        self.took = self.saved - started
