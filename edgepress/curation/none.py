"""None: keep every row; the other end of every comparison."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers, reasons
from edgepress.curation._select.select import Groups, shuffled
from edgepress.params import Config

LOOKS = False
"""It reads no vector."""


class Params(Config):
    """Keeping all rows has no parameters."""

    method: Literal["none"]


def select(job: CurateJob, *, params: Params) -> Decision:
    """Keep all rows."""
    quota = np.array([job.rows], np.int64)
    reason = reasons(job, Groups(None, job.rows), shuffled(job.seed), quota)
    return Decision(job, reason, None, Numbers(quota, quota))
