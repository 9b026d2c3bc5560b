"""Random: every row has the same chance; the yardstick of all pruning."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._select.budget import Keep, budget
from edgepress.curation._select.job import Job
from edgepress.curation._select.outcome import Numbers, Outcome, reasons
from edgepress.curation._select.select import Groups, shuffled


class Params(Keep):
    """Parameters of random pruning."""

    method: Literal["random"]


def select(job: Job, *, params: Params) -> Outcome:
    """Keep the first rows of a random order that depends on the seed and row numbers alone."""
    quota = np.array([budget(job.rows, params.keep)], np.int64)
    reason = reasons(job, Groups(None, job.rows), shuffled(job.seed), quota)
    return Outcome(job, reason, None, Numbers(np.array([job.rows]), quota))
