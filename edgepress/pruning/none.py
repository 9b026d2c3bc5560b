"""No pruning: the student goes on as it is."""

from __future__ import annotations

from typing import Literal

from edgepress.params import Config
from edgepress.pruning.slimmed import Slimmed
from edgepress.training.loop import Job


class Params(Config):
    """Nothing to set."""

    method: Literal["none"]


def prune(job: Job, *, params: Params) -> Slimmed:  # noqa: ARG001
    """Return job.network untouched."""
    return Slimmed(job.network, (), [])
