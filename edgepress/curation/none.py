"""None: keep every row; the other end of every comparison."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._select.job import Job
from edgepress.curation._select.outcome import Numbers, Outcome, reasons
from edgepress.curation._select.select import Groups, shuffled
from edgepress.params import Config


class Params(Config):
    """Keeping all rows has no parameters."""

    method: Literal["none"]


def select(job: Job, *, params: Params) -> Outcome:
    """Keep all rows."""
    quota = np.array([job.rows], np.int64)
    reason = reasons(job, Groups(None, job.rows), shuffled(job.seed), quota)
    return Outcome(job, reason, None, Numbers(quota, quota))
