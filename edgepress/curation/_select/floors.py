"""Class floors: rows set aside before the quotas so that no labelled class dies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.select import Groups, Ints, Rank, choose
from edgepress.workers.rows import CHUNK, RowFile


def give_back(job: CurateJob, alive: RowFile, rank: Rank, per_class: int) -> None:
    """Give back, in order of rank, duplicates of classes that have under `per_class` rows alive.

    A class of fewer rows than that gets all of them back.
    """
    if per_class == 0 or job.classes is None:
        return
    label = _labels(job)
    total, living = (_sizes(job, Groups(label, job.rows, part)) for part in (None, alive))
    dropped = job.work.rows("dropped", np.uint8, job.rows)
    for start, flags in alive.chunks():
        dropped.write(start, 1 - flags)
    wanted = np.maximum(np.minimum(total, per_class) - living, 0)
    choose(Groups(label, job.rows, dropped), rank, wanted, _marker(alive))


def reserve(
    job: CurateJob, groups: Groups, rank: Rank, per_class: int, concepts: int
) -> tuple[RowFile | None, Ints]:
    """Mark the first `per_class` rows that take part of every class; all, where it has fewer.

    Returns the marks, None where nothing is reserved, and how many lie in each concept, int64 [k].
    """
    held = np.zeros(concepts, np.int64)
    if per_class == 0 or job.classes is None:
        return None, held
    by_class = Groups(_labels(job), job.rows, groups.taking_part)
    reserved = job.work.rows("reserved", np.uint8, job.rows)
    reserved.fill(0)
    quota = np.minimum(_sizes(job, by_class), per_class)
    choose(by_class, rank, quota, _marker(reserved))
    for start, group, places in groups.chunks():
        flags = reserved.read(start, min(start + CHUNK, job.rows))[places]
        held += np.bincount(group[flags != 0], minlength=concepts)
    return reserved, held


def _labels(job: CurateJob) -> RowFile:
    label = job.work.rows("class", np.int64, job.rows)
    label.write(0, np.asarray(job.classes))
    return label


def _sizes(job: CurateJob, by_class: Groups) -> Ints:
    """Return the rows of every class that take part, int64 [classes]."""
    sizes = np.zeros(int(np.asarray(job.classes).max()) + 1, np.int64)
    for _, group, _ in by_class.chunks():
        sizes += np.bincount(group, minlength=len(sizes))
    return sizes


def _marker(column: RowFile) -> Callable[[int, Ints], None]:
    """Return what sets the flags of places, given the first row they count from."""

    def mark(start: int, places: Ints) -> None:
        flags = column.read(start, min(start + CHUNK, column.rows))
        flags[places] = 1
        column.write(start, flags)

    return mark
