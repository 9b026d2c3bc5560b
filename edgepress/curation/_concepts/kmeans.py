"""Spherical k-means over shards: settle on a growing sample, then Lloyd steps over all rows.

Memory is a few centroid-sized arrays per worker and one block of rows, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

from edgepress.curation._concepts.sample import Sample, draw
from edgepress.curation._concepts.seeding import seeds
from edgepress.curation._select.curate_job import CurateJob
from edgepress.vectors.blocks import BLOCK, FIXED, UNIT, Floats, Space, load, nearest
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Span
from edgepress.workers.rows import RowFile
from edgepress.workers.scratch import Arrays

SCHEDULE = ((16, 8), (32, 4), (64, 4))
"""Rows of the sample per concept, and Lloyd steps on them; each sample contains the one before."""

_LEAST = 4096
"""Rows of a sample at least: a small one is cheap, and few rows say little."""

_ROUGH = 3
"""Lloyd steps of `rough`."""

Sums = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Assigned:
    """Row files: each row's concept, int32, and cosine distance to its centroid, float32."""

    concept: RowFile
    distance: RowFile


def cluster(job: CurateJob, concepts: int, passes: int) -> Floats:
    """Return unit centroids, float32 [concepts, D], after `passes` Lloyd steps over all rows."""
    sample = draw(job, [max(concepts * per, _LEAST) for per, _ in SCHEDULE])
    first = job.work.step("seeds", lambda: {"centroids": seeds(sample.upto(0), concepts, job.seed)})
    centroids = first["centroids"]
    for level, steps in enumerate(_steps(sample)):
        part = job.on(sample.upto(level))
        centroids = refine(part, centroids, f"settle-{level}", steps)
    return refine(job, centroids, "lloyd", passes)


def rough(job: CurateJob, concepts: int) -> Floats:
    """Return unit centroids, float32 [concepts, D], after a few steps on a sample alone.

    Enough to cut rows into parts, at a cost that is small beside that of reading them.
    """
    sample = draw(job, [max(concepts * SCHEDULE[0][0], _LEAST)]).upto(0)
    first = job.work.step("seeds", lambda: {"centroids": seeds(sample, concepts, job.seed)})
    return refine(job.on(sample), first["centroids"], "settle", _ROUGH)


def refine(
    job: CurateJob, centroids: Floats, name: str, passes: int, alive: RowFile | None = None
) -> Floats:
    """Return the centroids after `passes` Lloyd steps over all rows, or those of `alive` alone."""
    for number in range(passes):
        step = f"{name}-{number}"
        found = job.work.step(
            f"{step}-done",
            lambda step=step, now=centroids: {"centroids": _lloyd(job, step, now, alive)},  # type: ignore[misc]
        )
        centroids = found["centroids"]
    return centroids


def assign(job: CurateJob, centroids: Floats, name: str) -> Assigned:
    """Write each row's nearest concept and its cosine distance, 0 to 2, to row files."""
    rows = Assigned(
        job.work.rows(f"{name}-concept", np.int32, job.rows),
        job.work.rows(f"{name}-distance", np.float32, job.rows),
    )

    def merge(span: Span, result: tuple[npt.NDArray[np.int32], Floats]) -> None:
        rows.concept.write(span[0] * UNIT, result[0])
        rows.distance.write(span[0] * UNIT, result[1])

    def whole() -> Arrays:
        job.run(name, Nearest(job.shards, centroids), {}, merge)
        return {"done": np.ones(1, np.bool_)}

    job.work.step(f"{name}-done", whole)
    return rows


@dataclass(frozen=True)
class Nearest:
    """Task: concept, int32, and cosine distance, float32, of every row of a span of units."""

    shards: Shards
    centroids: Floats

    def __call__(self, first: int, last: int) -> tuple[npt.NDArray[np.int32], Floats]:
        """Assign the rows of units first..last."""
        begin, end = first * UNIT, min(last * UNIT, self.shards.rows)
        labels = np.empty(end - begin, np.int32)
        distance = np.empty(end - begin, np.float32)
        space = Space.beside(self.centroids)
        for start in range(begin, end, BLOCK):
            stop = min(start + BLOCK, end)
            rows = load(self.shards, start, stop, space.rows)
            found, cosines = nearest(rows, self.centroids, space.cosines)
            labels[start - begin : stop - begin] = found
            distance[start - begin : stop - begin] = np.maximum(1.0 - cosines, 0.0)
        return labels, distance


@dataclass(frozen=True)
class Lloyd:
    """Task: fixed-point sums [k, D], counts [k] and total cosine of the rows of a span of units."""

    shards: Shards
    centroids: Floats
    alive: RowFile | None

    def __call__(self, first: int, last: int) -> tuple[Sums, Sums, int]:
        """Sum the rows of units first..last per nearest centroid."""
        sums = np.zeros(self.centroids.shape, np.int64)
        counts = np.zeros(len(self.centroids), np.int64)
        total = 0
        space = Space.beside(self.centroids)
        for unit in range(first, last):
            part = np.zeros(self.centroids.shape, np.float64)
            cosine = self._unit(unit, part, counts, space)
            sums += np.rint(part * FIXED).astype(np.int64)
            total += round(cosine * FIXED)
        return sums, counts, total

    def _unit(self, unit: int, part: npt.NDArray[np.float64], counts: Sums, space: Space) -> float:
        """Add one unit's rows to `part` in their order; return the sum of their cosines."""
        cosine = 0.0
        end = min((unit + 1) * UNIT, self.shards.rows)
        for start in range(unit * UNIT, end, BLOCK):
            stop = min(start + BLOCK, end)
            rows = load(self.shards, start, stop, space.rows)
            labels, cosines = nearest(rows, self.centroids, space.cosines)
            weights = np.ones(stop - start, np.float32)
            if self.alive is not None:
                weights = self.alive.read(start, stop).astype(np.float32)
            shape = (len(self.centroids), stop - start)
            member = csc_matrix((weights, labels, np.arange(stop - start + 1)), shape=shape)
            part += member @ rows
            counts += np.bincount(labels, weights, len(counts)).astype(np.int64)
            cosine += float((cosines.astype(np.float64) * weights).sum())
        return cosine


def _lloyd(job: CurateJob, name: str, centroids: Floats, alive: RowFile | None = None) -> Floats:
    """One Lloyd step: every centroid moves to the direction of its rows' sum."""
    state: Arrays = {
        "sums": np.zeros(centroids.shape, np.int64),
        "counts": np.zeros(len(centroids), np.int64),
    }

    def merge(_: Span, result: Any) -> None:
        state["sums"] += result[0]
        state["counts"] += result[1]

    job.run(name, Lloyd(job.shards, centroids, alive), state, merge)
    return _moved(centroids, state["sums"], state["counts"])


def _moved(centroids: Floats, sums: Sums, counts: Sums) -> Floats:
    """Return the new centroids; one without rows takes half of the largest, slightly turned."""
    exact = sums.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    fine = (counts > 0) & (lengths > 0)
    moved = centroids.astype(np.float64)
    moved[fine] = exact[fine] / lengths[fine, None]
    counts = counts.copy()
    turn = np.where(np.arange(moved.shape[1]) % 2 == 0, 1.0, -1.0) / 1024.0
    for empty in np.flatnonzero(counts == 0):
        donor = int(counts.argmax())
        if counts[donor] < 2:
            break
        moved[empty] = moved[donor] * (1.0 + turn)
        moved[donor] = moved[donor] * (1.0 - turn)
        counts[empty] = counts[donor] // 2
        counts[donor] -= counts[empty]
    moved /= np.linalg.norm(moved, axis=1)[:, None]
    return moved.astype(np.float32)


def _steps(sample: Sample) -> list[int]:
    """Lloyd steps per sample; where the rows run out early the last sample gets those left over."""
    steps = [steps for _, steps in SCHEDULE]
    levels = len(sample.parts)
    return [*steps[: levels - 1], sum(steps[levels - 1 :])]
