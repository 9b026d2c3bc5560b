"""No distillation: the teacher goes on as the student."""

from __future__ import annotations

from typing import Literal

from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.training.loop import Job

TWIN = True
"""The student's backbone and head have to be the teacher's."""


class Params(Config):
    """Nothing to set."""

    method: Literal["none"]


def distill(job: Job, teacher: Teacher, *, params: Params) -> list[dict[str, float]]:  # noqa: ARG001
    """Give job.network the teacher's weights; a network of another shape is a UserError."""
    try:
        job.network.load_state_dict(teacher.network.state_dict())
    except RuntimeError:
        raise UserError(
            "distill.recipe.method: none passes the teacher on, and it is another network than the "
            "student; set distill.backbone and distill.head as those of train"
        ) from None
    return []
