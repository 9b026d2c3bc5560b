"""Knowledge distillation by softened logits, after Hinton, Vinyals and Dean 2015.

Paper: https://arxiv.org/abs/1503.02531. Loss: weight * T^2 * KL(teacher_T || student_T) + (1 -
weight) * CE. Without augmentation the teacher answers each image once and the answers are kept on
disk; with it the teacher runs live.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from edgepress.distillation.teacher import Teacher
from edgepress.training.loop import Batch, Job, Recipe, fit


class Params(Recipe):
    """The loop's recipe, how soft the targets are, and how much they count."""

    method: Literal["logits"]
    temperature: float = Field(gt=0, le=100)
    """Both networks' logits are divided by it."""
    weight: float = Field(ge=0, le=1)
    """Share of the teacher's term in the loss; the labels have the rest."""
    teacher: Literal["auto", "live"] = "auto"
    """auto caches the teacher's answers where the augmentation is none; live never does."""


def distill(job: Job, teacher: Teacher, *, params: Params) -> list[dict[str, float]]:
    """Train job.network, the student, in place; return one record per epoch."""
    cached: Tensor | None = None
    if params.augment == "none" and params.teacher == "auto":
        cached = torch.from_numpy(np.asarray(teacher.cached_logits(job.train)))
    else:
        teacher.prepare()

    def objective(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        answers = network(batch.inputs)
        target = teacher.live(batch.inputs) if cached is None else cached[batch.rows]
        return _loss(answers, target.to(answers.device), batch.labels, params), answers

    return fit(job, params, objective)


def _loss(student: Tensor, teacher: Tensor, labels: Tensor, params: Params) -> Tensor:
    temperature = params.temperature
    soft = kl_div(
        log_softmax(student / temperature, 1),
        log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return params.weight * temperature**2 * soft + (1 - params.weight) * cross_entropy(
        student, labels
    )
