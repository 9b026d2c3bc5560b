"""De-duplication only: drop the closest copies inside concepts until the budget is met.

https://arxiv.org/abs/2303.09540
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._concepts import deduplicate, kmeans
from edgepress.curation._concepts.complexity import spread
from edgepress.curation._concepts.deduplicate import Preferred, by_echo
from edgepress.curation._select.budget import Clustered, budget, concepts
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers, chosen_sizes, reasons
from edgepress.curation._select.select import Groups


class Params(Clustered):
    """Parameters of de-duplication only: the threshold is the one that meets the budget."""

    method: Literal["deduplicate_only"]
    duplicate_kept: Preferred
    """Which of two duplicates stays: the one nearest to its centroid or the farthest from it."""


def select(job: CurateJob, *, params: Params) -> Decision:
    """Keep the rows least like any row of their concept that is preferred to them."""
    count = concepts(job.rows, params.concepts)
    assigned = kmeans.assign(job, kmeans.cluster(job, count, params.passes), "final")
    sizes, d_intra = spread(assigned, count)
    echo = deduplicate.echoes(job, assigned, sizes, params.duplicate_kept)
    quota = np.array([budget(job.rows, params.keep)], np.int64)
    reason = reasons(job, Groups(None, job.rows), by_echo(echo, descending=False), quota)
    numbers = Numbers(sizes, chosen_sizes(assigned, reason, count), d_intra)
    return Decision(job, reason, assigned, numbers)
