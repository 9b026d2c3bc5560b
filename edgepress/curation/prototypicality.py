"""Self-supervised prototypicality: one threshold on the distance to the centroid for all rows.

https://arxiv.org/abs/2206.14486
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._concepts import kmeans
from edgepress.curation._concepts.complexity import spread
from edgepress.curation._select.budget import Clustered, budget, concepts
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers, chosen_sizes, reasons
from edgepress.curation._select.select import Groups, Order, by_distance


class Params(Clustered):
    """Parameters of prototypicality pruning."""

    method: Literal["prototypicality"]
    order: Order
    """Rows to keep: hard (farthest from their centroid), easy (nearest) or random."""


def select(job: CurateJob, *, params: Params) -> Decision:
    """Keep the hardest rows of all, whatever concept they belong to."""
    count = concepts(job.rows, params.concepts)
    assigned = kmeans.assign(job, kmeans.cluster(job, count, params.passes), "final")
    sizes, d_intra = spread(assigned, count)
    rank = by_distance(assigned.distance, params.order, job.seed)
    quota = np.array([budget(job.rows, params.keep)], np.int64)
    reason = reasons(job, Groups(None, job.rows), rank, quota)
    numbers = Numbers(sizes, chosen_sizes(assigned, reason, count), d_intra)
    return Decision(job, reason, assigned, numbers)
