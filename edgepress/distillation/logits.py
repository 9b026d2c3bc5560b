"""Knowledge distillation by softened logits, after Hinton, Vinyals and Dean 2015.

Paper: https://arxiv.org/abs/1503.02531. Loss: weight * T^2 * KL(teacher_T || student_T) + (1 -
weight) * the task's loss on labels; the task says what softened answers are. Without augmentation
the teacher answers each image once and the answers are kept on disk; with it the teacher runs live.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from edgepress.bundles.network import named
from edgepress.distillation.teacher import Teacher
from edgepress.training.criterion import criterion
from edgepress.training.loop import Batch, Job, fit
from edgepress.training.recipe import Recipe


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
    learner = job.learner
    names = tuple(output.name for output in learner.outputs(job.train.spec))
    cost = criterion(job, params)
    cached = params.augment == "none" and params.teacher == "auto"
    if cached:
        teacher.answer_once(job.train, names, job.progress)
    else:
        teacher.prepare()

    def objective(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        student = named(network(batch.inputs), names)
        target = teacher.kept(batch.rows) if cached else teacher.live(batch.inputs, names)
        soft = learner.divergence(
            student,
            {name: values.to(batch.inputs.device) for name, values in target.items()},
            params.temperature,
        )
        hard = cost(student, batch.truth)
        weighed = params.weight * params.temperature**2 * soft
        return {**hard, "loss": weighed + (1 - params.weight) * hard["loss"]}

    return fit(job, params, objective)
