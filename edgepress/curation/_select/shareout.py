"""Sharing a budget out: quotas per concept from probabilities, then the rows of each concept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.curation._concepts.clusters import Concepts
from edgepress.curation._select.budget import Pruned, budget
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import reasons
from edgepress.curation._select.floors import reserve
from edgepress.curation._select.quotas import allocate
from edgepress.curation._select.select import Ints, by_distance
from edgepress.workers.rows import RowFile


def share_out(
    job: CurateJob, found: Concepts, probability: npt.NDArray[np.float64], params: Pruned
) -> tuple[Ints, RowFile]:
    """Return the quotas, int64 [k], and every row's reason; class floors raise concept floors."""
    rank = by_distance(found.assigned.distance, params.order, job.seed)
    reserved, held = reserve(job, found.groups, rank, params.class_floor, len(found.sizes))
    floors = np.maximum(np.minimum(params.floor, found.sizes), held)
    quotas = allocate(found.sizes, probability, budget(job.rows, params.keep), floors)
    return quotas, reasons(job, found.groups, rank, quotas, reserved)
