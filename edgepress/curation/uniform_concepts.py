"""Uniform concepts: every concept gets the same share of the budget, as far as its rows go."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgepress.curation._concepts.clusters import Concepts
from edgepress.curation._concepts.complexity import shares
from edgepress.curation._select.budget import Pruned
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers
from edgepress.curation._select.shareout import share_out


class Params(Pruned):
    """Parameters of uniform concepts."""

    method: Literal["uniform_concepts"]


def select(job: CurateJob, *, params: Params) -> Decision:
    """Share the budget out evenly over the concepts that have rows."""
    found = Concepts(job, params)
    probability = shares(np.zeros(len(found.sizes)), found.sizes, 1.0)
    quotas, reason = share_out(job, found, probability, params)
    numbers = Numbers(found.sizes, quotas, found.d_intra, None, probability)
    return Decision(job, reason, found.assigned, numbers)
