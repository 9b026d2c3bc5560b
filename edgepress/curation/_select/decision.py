"""Decision: what a method decided about every row, on its way into a Selection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from edgepress.curation._concepts.kmeans import Assigned
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.select import Groups, Ints, Rank, choose
from edgepress.records.selection import (
    CHOSEN,
    CLASS_FLOOR,
    DUPLICATE,
    OVER_QUOTA,
    REASONS,
    Concept,
    Selection,
    schema,
)
from edgepress.vectors import ids
from edgepress.vectors.columns import flags, numbers, strings
from edgepress.workers.rows import CHUNK, RowFile

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numbers:
    """Per concept [k]: what a quota came from; None where the method has no such number."""

    sizes: Ints
    quotas: Ints
    d_intra: Reals | None = None
    d_inter: Reals | None = None
    probability: Reals | None = None


@dataclass(frozen=True)
class Decision:
    """A reason per row, the rows' concepts and distances if any, and the numbers per concept."""

    job: CurateJob
    reason: RowFile
    assigned: Assigned | None
    numbers: Numbers

    def save(self, folder: Path, facts: dict[str, Any]) -> Selection:
        """Write the selection into `folder`; `facts` are method, params, temperature and order."""
        kept = np.zeros(len(self.numbers.sizes), np.int64)
        duplicates = np.zeros_like(kept)
        for start, reason in self.reason.chunks():
            concept = self._concept(start, len(reason))
            kept += np.bincount(concept[reason <= CLASS_FLOOR], minlength=len(kept))
            duplicates += np.bincount(concept[reason == DUPLICATE], minlength=len(kept))
        concepts = tuple(self._row(index, kept, duplicates) for index in range(len(kept)))
        own = {
            "seed": self.job.seed,
            "rows": self.job.rows,
            "budget": int(self.numbers.quotas.sum()),
            "concepts": concepts,
        }
        return Selection.save(folder, self.batches(), {**facts, **own})

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the table of the selection in row order, a batch of ids at a time."""
        for start, names in ids.batches(self.job.shards):
            stop = start + len(names)
            reason = self.reason.read(start, stop)
            distance = np.full(len(names), np.nan, np.float32)
            if self.assigned is not None:
                distance = self.assigned.distance.read(start, stop)
            columns = [
                names,
                numbers(self._concept(start, len(names))),
                numbers(distance, nan_is_null=True),
                flags(reason <= CLASS_FLOOR),
                pa.DictionaryArray.from_arrays(numbers(reason.astype(np.int8)), strings(REASONS)),
            ]
            yield pa.record_batch(columns, schema=schema(names.type))

    def kept(self) -> npt.NDArray[np.bool_]:
        """Return the mask of kept rows, bool [N], in memory."""
        return np.concatenate([reason <= CLASS_FLOOR for _, reason in self.reason.chunks()])

    def _concept(self, start: int, rows: int) -> npt.NDArray[np.int32]:
        if self.assigned is None:
            return np.zeros(rows, np.int32)
        return np.asarray(self.assigned.concept.read(start, start + rows), np.int32)

    def _row(self, index: int, kept: Ints, duplicates: Ints) -> Concept:
        numbers = self.numbers
        intra, inter = _at(numbers.d_intra, index), _at(numbers.d_inter, index)
        return Concept(
            index=index,
            size=int(numbers.sizes[index]),
            duplicates=int(duplicates[index]),
            quota=int(numbers.quotas[index]),
            kept=int(kept[index]),
            d_intra=intra,
            d_inter=inter,
            complexity=None if intra is None or inter is None else intra * inter,
            probability=_at(numbers.probability, index),
        )


def _at(values: Reals | None, index: int) -> float | None:
    return None if values is None else float(values[index])


def chosen_sizes(assigned: Assigned, reason: RowFile, concepts: int) -> Ints:
    """Return how many rows each concept keeps, int64 [k], where no quota was set beforehand."""
    kept = np.zeros(concepts, np.int64)
    for start, concept in assigned.concept.chunks():
        mask = reason.read(start, start + len(concept)) <= CLASS_FLOOR
        kept += np.bincount(concept[mask], minlength=concepts)
    return kept


def reasons(
    job: CurateJob, groups: Groups, rank: Rank, quotas: Ints, reserved: RowFile | None = None
) -> RowFile:
    """Write the reason of every row: `quotas` of each group are chosen, in order of rank.

    Rows that take no part are duplicates; `reserved` rows are chosen before all others.
    """
    reason = job.work.rows("reason", np.uint8, job.rows)
    for start in range(0, job.rows, CHUNK):
        stop = min(start + CHUNK, job.rows)
        codes = np.full(stop - start, OVER_QUOTA, np.uint8)
        if groups.taking_part is not None:
            codes[groups.taking_part.read(start, stop) == 0] = DUPLICATE
        reason.write(start, codes)

    def marker(code: int) -> Any:
        def mark(start: int, places: Ints) -> None:
            codes = reason.read(start, min(start + CHUNK, job.rows))
            codes[places] = code
            reason.write(start, codes)

        return mark

    if reserved is None:
        choose(groups, rank, quotas, marker(CHOSEN))
        return reason
    open_ = job.work.rows("open", np.uint8, job.rows)
    left = quotas.copy()
    for start, group, places in groups.chunks():
        held = reserved.read(start, min(start + CHUNK, job.rows)) != 0
        left -= np.bincount(group[held[places]], minlength=len(left))
        flags = np.zeros(len(held), np.uint8)
        flags[places] = 1
        flags[held] = 0
        open_.write(start, flags)
        marker(CLASS_FLOOR)(start, np.flatnonzero(held))
    choose(Groups(groups.concept, job.rows, open_), rank, left, marker(CHOSEN))
    return reason
