"""Concepts: the rows by k-means cluster, after near-duplicates inside clusters are dropped."""

from __future__ import annotations

from edgepress.curation._concepts import deduplicate, kmeans
from edgepress.curation._concepts.complexity import spread
from edgepress.curation._concepts.deduplicate import by_echo
from edgepress.curation._concepts.kmeans import Assigned
from edgepress.curation._select import floors
from edgepress.curation._select.budget import Pruned, budget, concepts
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.select import Groups
from edgepress.errors import UserError
from edgepress.vectors.blocks import Floats
from edgepress.workers.rows import RowFile


class Concepts:
    """Survivors of de-duplication with the concepts they form: centroids, sizes and d_intra."""

    def __init__(self, job: CurateJob, params: Pruned) -> None:
        """Cluster, drop duplicates inside clusters, then let the centroids follow what is left."""
        if params.class_floor and job.classes is None:
            raise UserError("class_floor: the rows have no class labels; give them or set it to 0")
        count = concepts(job.rows, params.concepts)
        most = job.rows - budget(job.rows, params.keep)
        centroids = kmeans.cluster(job, count, params.passes)
        self.alive: RowFile | None = None
        if params.deduplicate is not None and most > 0:
            first = kmeans.assign(job, centroids, "first")
            sizes, _ = spread(first, count)
            echo = deduplicate.echoes(job, first, sizes, params.duplicate_kept)
            self.alive = deduplicate.survivors(job, echo, params.deduplicate, most)
            floors.give_back(job, self.alive, by_echo(echo, descending=False), params.class_floor)
            centroids = kmeans.refine(job, centroids, "survivors", params.passes, self.alive)
        self.centroids: Floats = centroids
        self.assigned: Assigned = kmeans.assign(job, centroids, "final")
        self.sizes, self.d_intra = spread(self.assigned, count, self.alive)

    @property
    def groups(self) -> Groups:
        """The survivors grouped by concept."""
        return Groups(self.assigned.concept, self.assigned.concept.rows, self.alive)
