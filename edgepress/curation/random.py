"""Random: every row has the same chance; the yardstick of all pruning."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._select.budget import Keep, budget
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers, reasons
from edgepress.curation._select.select import Groups, shuffled

LOOKS = False
"""It reads no vector."""


class Params(Keep):
    """Parameters of random pruning."""

    method: Literal["random"]


def select(job: CurateJob, *, params: Params) -> Decision:
    """Keep the first rows of a random order that depends on the seed and row numbers alone."""
    quota = np.array([budget(job.rows, params.keep)], np.int64)
    reason = reasons(job, Groups(None, job.rows), shuffled(job.seed), quota)
    return Decision(job, reason, None, Numbers(np.array([job.rows]), quota))
