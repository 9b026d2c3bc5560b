"""Class floors: rows set aside before the quotas so that no labelled class dies."""

from __future__ import annotations

import numpy as np

from edgepress.curation.job import Job
from edgepress.curation.rows import CHUNK, RowFile
from edgepress.curation.select import Groups, Ints, Rank, choose


def reserve(
    job: Job, groups: Groups, rank: Rank, per_class: int, concepts: int
) -> tuple[RowFile | None, Ints]:
    """Mark the first `per_class` rows that take part of every class; all, where it has fewer.

    Returns the marks, None where nothing is reserved, and how many lie in each concept, int64 [k].
    """
    held = np.zeros(concepts, np.int64)
    if per_class == 0 or job.classes is None:
        return None, held
    label = job.work.rows("class", np.int32, job.rows)
    label.write(0, job.classes)
    by_class = Groups(label, job.rows, groups.taking_part)
    sizes = np.zeros(int(job.classes.max()) + 1, np.int64)
    for _, group, _ in by_class.chunks():
        sizes += np.bincount(group, minlength=len(sizes))
    reserved = job.work.rows("reserved", np.uint8, job.rows)
    reserved.fill(0)

    def mark(start: int, places: Ints) -> None:
        flags = reserved.read(start, min(start + CHUNK, job.rows))
        flags[places] = 1
        reserved.write(start, flags)

    choose(by_class, rank, np.minimum(sizes, per_class), mark)
    for start, group, places in groups.chunks():
        flags = reserved.read(start, min(start + CHUNK, job.rows))[places]
        held += np.bincount(group[flags != 0], minlength=concepts)
    return reserved, held
