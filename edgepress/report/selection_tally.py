"""Tally: what the page of a selection says of its rows, gathered in one pass over the table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.selection import Selection, concept_rows, kept_rows
from edgepress.vectors import ids
from edgepress.vectors.shards import Shards

Ints = npt.NDArray[np.int64]

Side = tuple[int, bool]
"""A concept, and whether rows of it that were kept or those that were pruned."""


@dataclass(frozen=True)
class Labels:
    """Class of each row, int64 [N], below the number of names; and the names, in that order."""

    codes: Ints
    names: npt.NDArray[np.integer]


@dataclass(frozen=True)
class Tally:
    """Rows and rows kept per class, [classes]; and places of images by side, centre to rim."""

    totals: Ints
    kept: Ints
    examples: Mapping[Side, Ints]


class _Found:
    """Images of the shown concepts, as the pass comes by them: never more than there are images."""

    def __init__(self, shown: Collection[int]) -> None:
        self._shown = np.array(sorted(shown), np.int64)
        self._parts: list[tuple[Ints, npt.NDArray[np.float32], Ints, npt.NDArray[np.bool_]]] = []

    def add(self, batch: pa.RecordBatch, place: Ints) -> None:
        concept = concept_rows(batch).astype(np.int64)
        rows = np.flatnonzero(np.isin(concept, self._shown) & (place >= 0))
        distance = batch.column("distance").to_numpy(zero_copy_only=False).astype(np.float32)
        self._parts.append((place[rows], distance[rows], concept[rows], kept_rows(batch)[rows]))

    def sides(self) -> dict[Side, Ints]:
        if not self._parts:
            return {}
        place, distance, concept, kept = map(np.concatenate, zip(*self._parts, strict=True))
        order = np.argsort(distance, kind="stable")
        place, concept, kept = place[order], concept[order], kept[order]
        return {
            (index, side): place[(concept == index) & (kept == side)]
            for index in self._shown.tolist()
            for side in (True, False)
        }


def tally(
    selection: Selection,
    folder: Path,
    labels: Labels | None,
    images: ImageSet | None,
    shown: Collection[int],
) -> Tally:
    """Read the selection in `folder` once; `shown` are the concepts to find images of.

    Classes are those of `labels`, else of the images, which must be there for every row then: an
    id without one is a UserError. Memory grows with the images, not with the rows.
    """
    classes = _classes(labels, images)
    totals, kept = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    found = _Found(shown)
    of = {} if images is None else {name: place for place, name in enumerate(images.ids)}
    columns = ["kept"] if images is None else ["id", "concept", "distance", "kept"]
    start = 0
    for batch in selection.batches(folder, columns):
        codes = None if labels is None else labels.codes[start : start + batch.num_rows]
        if images is not None:
            place = _places(batch.column("id"), of)
            found.add(batch, place)
            if codes is None:
                _refuse_missing(batch.column("id"), place)
                codes = images.strata[place]
        if codes is not None:
            totals += np.bincount(codes, minlength=classes)
            kept += np.bincount(codes[kept_rows(batch)], minlength=classes)
        start += batch.num_rows
    return Tally(totals, kept, found.sides())


def refuse_strangers(shards: Shards, images: ImageSet) -> None:
    """Raise UserError where a row's id is that of no image; memory grows with the images alone."""
    of = {name: place for place, name in enumerate(images.ids)}
    for _, names in ids.stream(shards):
        _refuse_missing(names, _places(names, of))


def _classes(labels: Labels | None, images: ImageSet | None) -> int:
    if labels is not None:
        return len(labels.names)
    return 0 if images is None else len(images.classes)


def _places(names: pa.Array, of: Mapping[str, int]) -> Ints:
    return np.array([of.get(str(name), -1) for name in names.to_pylist()], np.int64)


def _refuse_missing(names: pa.Array, place: Ints) -> None:
    lacking = np.flatnonzero(place < 0)
    if lacking.size:
        name = str(names[int(lacking[0])].as_py())
        raise UserError(
            f"--images: the manifest has no usable image of id {name!r}; name the manifest that "
            "the embeddings were made from, or give --labels"
        )
