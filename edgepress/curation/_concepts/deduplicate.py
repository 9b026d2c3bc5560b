"""Semantic de-duplication: inside a concept, drop rows that are nearly the same as one before.

https://arxiv.org/abs/2303.09540. The rows of a concept are lined up by distance to the centroid; a
row is a duplicate when one ahead of it, itself a duplicate or not, is closer than the threshold.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepress.curation._concepts import kmeans
from edgepress.curation._concepts.kmeans import Assigned
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.select import Groups, Keys, Rank, choose
from edgepress.vectors.blocks import BLOCK, UNIT, Floats, scaled
from edgepress.vectors.formats import raw
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Span
from edgepress.workers.rows import CHUNK, RowFile
from edgepress.workers.scratch import Arrays

_log = logging.getLogger(__name__)

WINDOW = 1 << 12
"""Rows compared with each other at most; where even a split concept has more, its line is cut."""

_DONE: Arrays = {"done": np.ones(1, np.bool_)}
Preferred = Literal["nearest", "farthest"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grouped:
    """The vectors sorted by concept on disk, with their row numbers and distances."""

    shards: Shards
    row: RowFile
    distance: RowFile
    starts: Ints
    """First place of each concept, and the number of rows, int64 [k + 1]."""


@dataclass(frozen=True)
class Echoes:
    """Task: for rows grouped by concept, the highest cosine to a row ahead of it in line."""

    grouped: Grouped
    preferred: Preferred
    skip: frozenset[int]
    """Concepts that are left for later."""

    def __call__(self, first: int, last: int) -> tuple[Ints, Floats]:
        """Return row numbers and cosines, 0 to 1, of the rows of concepts first..last."""
        rows, echoes = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for concept in sorted(set(range(first, last)) - self.skip):
            start, stop = (int(place) for place in self.grouped.starts[concept : concept + 2])
            row = self.grouped.row.read(start, stop)
            line = self._line(row, start, stop)
            for cut in range(0, len(line), WINDOW):
                part = line[cut : cut + WINDOW]
                rows.append(row[part])
                echoes.append(echo_of(self.grouped.shards, start + part))
        return np.concatenate(rows), np.concatenate(echoes)

    def _line(self, row: Ints, start: int, stop: int) -> Ints:
        """Return the places of a concept's rows in order of preference; of equals the first row."""
        distance = self.grouped.distance.read(start, stop)
        return np.lexsort((row, -distance if self.preferred == "farthest" else distance))


def echoes(
    job: CurateJob, assigned: Assigned, sizes: Ints, preferred: Preferred, *, split: bool = True
) -> RowFile:
    """Write each row's highest cosine to a row of its concept that is preferred to it.

    Concepts above `WINDOW` rows are first split by a k-means of their own, as comparing all their
    rows would cost the square of their size.
    """
    found = job.work.rows("echo", np.float32, job.rows)
    large = np.flatnonzero(sizes > WINDOW).tolist() if split else []

    def merge(_: Span, result: tuple[Ints, Floats]) -> None:
        found.scatter(*result)

    def whole() -> Arrays:
        grouped = group(job, assigned, sizes)
        task = Echoes(grouped, preferred, frozenset(large))

        def small() -> Arrays:
            job.run("echo", task, {}, merge, count=len(sizes))
            return _DONE

        def part(concept: int) -> Arrays:
            _split(job, grouped, concept, preferred, found)
            return _DONE

        job.work.step("echo-small", small)
        for concept in large:
            job.work.step(f"echo-part-{concept}", partial(part, concept))
        return _DONE

    job.work.step("echo-done", whole)
    job.work.forget("group", "echo-small", *(f"echo-part-{concept}" for concept in large))
    job.work.forget("grouped.raw", "grouped-row.rows", "grouped-distance.rows")
    return found


def _split(
    job: CurateJob, grouped: Grouped, concept: int, preferred: Preferred, found: RowFile
) -> None:
    """Find the echoes of one large concept in parts, and write them to `found`."""
    start, stop = (int(place) for place in grouped.starts[concept : concept + 2])
    rows = stop - start
    part = grouped.shards.parts[0]
    inner = replace(
        job,
        shards=Shards((raw(part.path, part.dtype, (rows, part.width), start),)),
        work=job.work.below(f"part-{concept}"),
        classes=None,
    )
    centroids = kmeans.rough(inner, -(-2 * rows // WINDOW))
    parts = kmeans.assign(inner, centroids, "split")
    # Who is preferred is still told by the distance to the concept's own centroid.
    distance = inner.work.rows("distance", np.float32, rows)
    sizes = np.zeros(len(centroids), np.int64)
    for first, labels in parts.concept.chunks():
        sizes += np.bincount(labels, minlength=len(sizes))
        distance.write(first, grouped.distance.read(start + first, start + first + len(labels)))
    echo = echoes(inner, Assigned(parts.concept, distance), sizes, preferred, split=False)
    for first, cosines in echo.chunks():
        found.scatter(grouped.row.read(start + first, start + first + len(cosines)), cosines)
    inner.work.remove()


def survivors(job: CurateJob, echo: RowFile, above: float, most: int) -> RowFile:
    """Write 1 for rows to go on with, 0 for duplicates: echoes above the threshold.

    At most `most` rows go, the closest first, so that a budget can always be met.
    """
    alive = job.work.rows("alive", np.uint8, job.rows)
    alive.fill(1)
    suspect = job.work.rows("suspect", np.uint8, job.rows)
    count = 0
    for start, cosine in echo.chunks():
        flags = cosine > np.float32(above)
        count += int(flags.sum())
        suspect.write(start, flags.astype(np.uint8))

    def drop(start: int, places: Ints) -> None:
        flags = alive.read(start, min(start + CHUNK, job.rows))
        flags[places] = 0
        alive.write(start, flags)

    if count > most:
        _log.warning(
            "deduplicate: %d rows have a copy above %s, but only %d may go, so that the budget is "
            "met; nothing is left for the quotas to decide: raise the threshold",
            count, above, most,
        )  # fmt: skip
    quota = np.array([min(count, most)], np.int64)
    choose(Groups(None, job.rows, suspect), by_echo(echo), quota, drop)
    return alive


def by_echo(echo: RowFile, *, descending: bool = True) -> Rank:
    """Rank rows by echo, closest copies first, or last where not `descending`."""

    def rank(start: int, stop: int) -> Keys:
        bits = echo.read(start, stop).view(np.uint32)
        return ~bits if descending else bits

    return rank


def group(job: CurateJob, assigned: Assigned, sizes: Ints) -> Grouped:
    """Copy the vectors, one pass over the shards, into one file in which concepts lie together."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    path = job.work.folder / "grouped.raw"
    item = job.shards.width * np.dtype(job.shards.dtype).itemsize
    RowFile(path, np.dtype(f"V{item}"), job.rows)
    row = job.work.rows("grouped-row", np.int64, job.rows)
    distance = job.work.rows("grouped-distance", np.float32, job.rows)
    state = job.work.load("group") or {"next": starts[:-1].copy(), "row": np.zeros(1, np.int64)}
    last = time.monotonic()
    with path.open("r+b", buffering=0) as file:
        for start in range(int(state["row"][0]), job.rows, UNIT):
            stop = min(start + UNIT, job.rows)
            vectors = job.shards.read(start, stop)
            order, place = _places(assigned.concept.read(start, stop), state["next"])
            for run in np.split(np.arange(len(order)), np.flatnonzero(np.diff(place) != 1) + 1):
                file.seek(int(place[run[0]]) * item)
                file.write(np.ascontiguousarray(vectors[order[run]]).data)
            row.scatter(place, start + order)
            distance.scatter(place, assigned.distance.read(start, stop)[order])
            state["row"][0] = stop
            if time.monotonic() - last >= job.work.every or stop == job.rows:
                job.work.save("group", state)
                last = time.monotonic()
    shape = (job.rows, job.shards.width)
    return Grouped(Shards((raw(path, job.shards.dtype, shape),)), row, distance, starts)


def _places(concept: npt.NDArray[np.int32], place: Ints) -> tuple[Ints, Ints]:
    """Return rows in order of concept and where each goes; moves on `place`, the next free ones."""
    order = np.argsort(concept, kind="stable")
    ordered = concept[order]
    first = np.searchsorted(ordered, ordered, side="left")
    where = place[ordered] + np.arange(len(ordered)) - first
    place += np.bincount(ordered, minlength=len(place))
    return order, where


def echo_of(shards: Shards, line: Ints) -> Floats:
    """Return each row's highest cosine, 0 to 1, to a row before it in `line`, float32 [n]."""
    rows = np.empty((len(line), shards.width), np.float32)
    order = np.argsort(line)
    done = 0
    for run in shards.take(line[order]):
        rows[order[done : done + len(run)]] = scaled(run, str)
        done += len(run)
    echo = np.zeros(len(line), np.float32)
    for start in range(0, len(line), BLOCK):
        behind = rows[start : start + BLOCK]
        before = np.tri(len(behind), k=-1, dtype=np.float32)
        best = ((behind @ behind.T) * before).max(axis=1)
        for ahead in range(0, start, BLOCK):
            np.maximum(best, (behind @ rows[ahead : ahead + BLOCK].T).max(axis=1), out=best)
        echo[start : start + BLOCK] = np.clip(best, 0.0, 1.0)
    return echo
