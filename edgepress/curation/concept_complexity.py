"""Concept complexity: dense, isolated concepts give up most, spread-out ones little; hardest kept.

https://arxiv.org/abs/2401.04578
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.curation.budget import Pruned
from edgepress.curation.clusters import Concepts
from edgepress.curation.complexity import separation, shares
from edgepress.curation.job import Job
from edgepress.curation.outcome import Numbers, Outcome
from edgepress.curation.shareout import share_out


class Params(Pruned):
    """Parameters of concept complexity."""

    method: Literal["concept_complexity"]
    neighbours: int = Field(ge=1)
    """Nearest centroids whose mean distance is d_inter."""
    temperature: float = Field(gt=0)
    """Of the softmax over complexities: low gives nearly all to the most complex concepts."""


def select(job: Job, *, params: Params) -> Outcome:
    """Share the budget out by softmax(d_intra * d_inter / temperature), exactly."""
    found = Concepts(job, params)
    d_inter = separation(found.centroids, found.sizes, params.neighbours)
    probability = shares(found.d_intra * d_inter, found.sizes, params.temperature)
    quotas, reason = share_out(job, found, probability, params)
    numbers = Numbers(found.sizes, quotas, found.d_intra, d_inter, probability)
    return Outcome(job, reason, found.assigned, numbers)
