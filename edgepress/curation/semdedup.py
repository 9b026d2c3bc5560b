"""SemDeDup: drop rows that are nearly the same as another of their concept, and no other row.

Abbas et al. 2023, https://arxiv.org/abs/2303.09540: what goes is decided by a threshold, where
`deduplicate_only` has a budget to meet.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.curation._concepts import deduplicate, kmeans
from edgepress.curation._concepts.complexity import spread
from edgepress.curation._concepts.deduplicate import Preferred, by_echo
from edgepress.curation._select import floors
from edgepress.curation._select.budget import concepts
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers, reasons
from edgepress.curation._select.select import Groups, by_distance
from edgepress.errors import UserError
from edgepress.params import Config


class Params(Config):
    """Parameters of semantic de-duplication."""

    method: Literal["semdedup"]
    concepts: int | Literal["auto"]
    """Number of k-means concepts, inside which copies are looked for; auto is the cube root of the
    rows."""
    passes: int = Field(ge=1)
    """Lloyd steps over all rows, after the centroids have settled on a sample."""
    deduplicate: float = Field(ge=0, le=1)
    """Cosine above which two rows of a concept are the same."""
    duplicate_kept: Preferred
    """Which of two duplicates stays: the one nearest to its centroid or the farthest from it."""
    class_floor: int = Field(ge=0)
    """Rows every labelled class keeps at least, copies or not; 0 needs no labels."""


def select(job: CurateJob, *, params: Params) -> Decision:
    """Keep the rows that no preferred row of their concept is a copy of."""
    if params.class_floor and job.classes is None:
        raise UserError("class_floor: the rows have no class labels; give them or set it to 0")
    count = concepts(job.rows, params.concepts)
    assigned = kmeans.assign(job, kmeans.cluster(job, count, params.passes), "final")
    sizes, d_intra = spread(assigned, count)
    echo = deduplicate.echoes(job, assigned, sizes, params.duplicate_kept)
    alive = deduplicate.survivors(job, echo, params.deduplicate, job.rows)
    floors.give_back(job, alive, by_echo(echo, descending=False), params.class_floor)
    kept, _ = spread(assigned, count, alive)
    rank = by_distance(assigned.distance, "hard", job.seed)
    reason = reasons(job, Groups(assigned.concept, job.rows, alive), rank, kept)
    return Decision(job, reason, assigned, Numbers(sizes, kept, d_intra))
