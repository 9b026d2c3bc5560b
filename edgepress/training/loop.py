"""The training loop: Nesterov SGD on a one-cycle cosine schedule, resumable to the step.

Every random draw is seeded by (seed, epoch) or (seed, step), so that a killed and resumed run
ends with the same weights as an undisturbed one on the same machine.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.training import machine
from edgepress.training.augment import Augment, augment
from edgepress.training.checkpoint import Checkpoint, Position
from edgepress.training.examples import Examples, Normalise
from edgepress.training.sgd import Sgd

log = logging.getLogger(__name__)

WARMUP = 0.15
"""Share of the steps in which the learning rate rises from zero."""
SECONDS_BETWEEN_CHECKPOINTS = 15.0


class Recipe(Config):
    """What every method that trains by this loop has in its parameters."""

    epochs: int = Field(ge=1, le=10_000)
    """Passes over the training images."""
    batch: int = Field(ge=2, le=65_536)
    """Images per step."""
    learning_rate: float = Field(gt=0, le=10)
    """Peak of the one-cycle schedule."""
    weight_decay: float = Field(ge=0, le=1)
    """L2 penalty; biases and normalisation are left out."""
    augment: Augment
    """Random changes of the training images: none, shift or flip_shift."""
    precision: machine.Precision
    """fp32, bf16 (autocast), or auto: bf16 where the hardware has it."""
    compile: bool = False
    """Compile the network with torch.compile; pays on long runs only."""


@dataclass(frozen=True)
class Batch:
    """One step: normalised images [N, C, H, W], labels [N], rows of the training set [N]."""

    inputs: Tensor
    labels: Tensor
    rows: Tensor


Objective = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""Maps a network and a batch to (loss, logits whose argmax is compared with the labels)."""


@dataclass(frozen=True)
class Job:
    """A network to train, the images to train and to watch it on, and where to keep checkpoints."""

    network: nn.Module
    train: Examples
    val: Examples
    seed: int
    checkpoint: Checkpoint | None = None
    progress: Callable[[int, int], None] | None = None


def fit(job: Job, recipe: Recipe, objective: Objective) -> list[dict[str, float]]:
    """Train job.network in place; return one record per epoch; stop at a loss not finite."""
    if len(job.train) < 2:
        raise UserError(f"training: {len(job.train)} images are too few; curate or ingest more")
    return _Run(job, recipe, objective).finish()


class _Run:
    def __init__(self, job: Job, recipe: Recipe, objective: Objective) -> None:
        self.job, self.recipe, self.objective = job, recipe, objective
        self.device = machine.device()
        self.network = machine.place(job.network, self.device)
        self.layout = machine.layout(self.network, self.device)
        self.called = self.network
        if recipe.compile:
            self.called = cast(nn.Module, torch.compile(self.network))
        self.normalise = Normalise(job.train.spec, self.device)
        self.optimizer = Sgd(self.network, recipe.weight_decay)
        self.batch = min(recipe.batch, len(job.train))
        self.steps = max(1, len(job.train) // self.batch)
        self.total = self.steps * recipe.epochs
        self.at = Position(step=0, history=[], loss_sum=0.0, correct=0, seen=0)
        restored = job.checkpoint and job.checkpoint.restore(self.network, self.optimizer)
        if restored:
            log.info("resumed at step %d of %d", restored.step, self.total)
            self.at = restored
        self.saved = time.monotonic()

    def finish(self) -> list[dict[str, float]]:
        while len(self.at.history) < self.recipe.epochs:
            self._epoch(len(self.at.history))
        self.network.to("cpu")
        return self.at.history

    def _epoch(self, epoch: int) -> None:
        order = np.random.default_rng([self.job.seed, epoch]).permutation(len(self.job.train))
        losses = torch.zeros((), device=self.device, dtype=torch.float64)
        correct = torch.zeros((), dtype=torch.long, device=self.device)
        self.called.train()
        for index in range(self.at.step - epoch * self.steps, self.steps):
            loss, hits = self._step(order[index * self.batch : (index + 1) * self.batch])
            losses += loss
            correct += hits
            self.at.step += 1
            if time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._collect(losses, correct)
                self._save()
                losses, correct = losses * 0, correct * 0
            if self.job.progress:
                self.job.progress(self.at.step, self.total)
        self._collect(losses, correct)
        self._close_epoch(epoch)

    def _step(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        job, step = self.job, self.at.step
        rate = self.recipe.learning_rate * _one_cycle((step + 1) / self.total)
        generator = torch.Generator().manual_seed((job.seed << 32) + step)
        images = job.train.images(rows).to(self.device, non_blocking=True)
        images = augment(images, self.recipe.augment, generator)
        labels = job.train.targets(rows).to(self.device, non_blocking=True)
        inputs = machine.arrange(self.normalise(images), self.layout)
        batch = Batch(inputs, labels, torch.from_numpy(rows))
        with machine.autocast(self.recipe.precision, self.device):
            loss, logits = self.objective(self.called, batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(rate)
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def _collect(self, losses: Tensor, correct: Tensor) -> None:
        done = self.at.step - len(self.at.history) * self.steps
        self.at.loss_sum += float(losses)
        self.at.correct += int(correct)
        self.at.seen = done * self.batch
        if not math.isfinite(self.at.loss_sum):
            raise UserError(
                f"training: the loss is not finite at step {self.at.step}; "
                f"lower learning_rate (now {self.recipe.learning_rate})"
            )

    def _close_epoch(self, epoch: int) -> None:
        at = self.at
        at.history.append(
            {
                "epoch": epoch + 1,
                "loss": round(at.loss_sum / self.steps, 6),
                "train_accuracy": at.correct / max(at.seen, 1),
                "val_accuracy": accuracy(self.network, self.job.val),
                "learning_rate": round(
                    self.recipe.learning_rate * _one_cycle(at.step / self.total), 8
                ),
            }
        )
        log.info("epoch %(epoch)d loss %(loss).4f val %(val_accuracy).4f", at.history[-1])
        at.loss_sum, at.correct, at.seen = 0.0, 0, 0
        if self.recipe.epochs > epoch + 1 and time.monotonic() - self.saved > 2.0:
            self._save()

    def _save(self) -> None:
        if self.job.checkpoint:
            self.job.checkpoint.save(self.network, self.optimizer, self.at)
        self.saved = time.monotonic()


def logits(network: nn.Module, examples: Examples, batch: int = 256) -> np.ndarray:
    """Return float32 logits [N, classes] in eval mode, computed on the training device."""
    on = machine.device()
    network = machine.place(network, on).eval()
    normalise = Normalise(examples.spec, on)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(examples), batch):
            images = examples.images(slice(start, start + batch)).to(on)
            parts.append(network(normalise(images)).float().cpu().numpy())
    return np.concatenate(parts)


def accuracy(network: nn.Module, examples: Examples) -> float:
    """Return top-1 accuracy between 0 and 1."""
    return float((logits(network, examples).argmax(1) == examples.labels).mean())


def _one_cycle(done: float) -> float:
    if done < WARMUP:
        return done / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP)))
