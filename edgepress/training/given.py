"""Given: a network that has learnt elsewhere, by `weights` alone; nothing is learnt here."""

from __future__ import annotations

from typing import Literal

from edgepress.params import Config
from edgepress.training.loop import Job

LEARNS = False
"""The weights are the model: whatever they leave fresh is refused."""


class Params(Config):
    """Nothing to set."""

    method: Literal["given"]


def train(job: Job, *, params: Params) -> list[dict[str, float]]:  # noqa: ARG001
    """Leave job.network as it is; there is no epoch to tell of."""
    return []
