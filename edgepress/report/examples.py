"""Examples: what curation kept, per concept and class, with images spread from centre to rim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgepress.records.selection import Selection, SelectionTable
from edgepress.report.run import ClassCount, ConceptRun, Curation, Example

PER_SIDE = 8
"""Kept and pruned images shown of one concept, at most."""
CONCEPTS = 24
"""Concepts shown; of more, the most and the least complex ones."""
_UNLABELLED = "no label"


def curation(selection: Selection, table: SelectionTable, labels: Mapping[str, str]) -> Curation:
    """Return what the page shows of a selection; `labels` maps image ids to class names."""
    total, kept = Counter[str](), Counter[str]()
    for name, stays in zip(table.ids, table.kept, strict=True):
        label = labels.get(str(name), _UNLABELLED)
        total[label] += 1
        kept[label] += bool(stays)
    indices = {f"Concept {found.index}": found.index for found in selection.concepts}
    numbers = tuple(
        ConceptRun(
            name=name,
            size=found.size + found.duplicates,
            kept=found.kept,
            complexity=found.complexity,
            duplicates=found.duplicates,
        )
        for name, found in zip(indices, selection.concepts, strict=True)
    )
    sides = _Sides(table, labels)
    return Curation(
        method=selection.method,
        total=selection.rows,
        kept=selection.budget,
        concepts=tuple(
            replace(
                concept,
                kept_examples=sides.examples(indices[concept.name], kept=True),
                pruned_examples=sides.examples(indices[concept.name], kept=False),
            )
            for concept in shown(numbers)
        ),
        classes=tuple(ClassCount(name, total[name], kept[name]) for name in sorted(total)),
        numbers=numbers,
    )


class _Sides:
    """The rows of every concept, kept and pruned apart, nearest to the centre first."""

    def __init__(self, table: SelectionTable, labels: Mapping[str, str]) -> None:
        self._table, self._labels = table, labels
        self._distance = np.nan_to_num(table.distance)
        side = 2 * table.concept.astype(np.int64) + table.kept
        self._order = np.lexsort((self._distance, side))
        self._sorted = side[self._order]

    def examples(self, concept: int, *, kept: bool) -> tuple[Example, ...]:
        side = 2 * concept + kept
        first, last = np.searchsorted(self._sorted, [side, side + 1])
        found = []
        for row in spread(self._order[first:last]):
            name = str(self._table.ids[row])
            label = self._labels.get(name, _UNLABELLED)
            found.append(Example(name, label, float(self._distance[row])))
        return tuple(found)


def spread(rows: npt.NDArray[np.int64], limit: int = PER_SIDE) -> list[int]:
    """Return at most `limit` of the rows, evenly spaced, both ends included."""
    if len(rows) <= limit:
        return [int(row) for row in rows]
    places = np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)
    return [int(row) for row in rows[places]]


def shown(concepts: Sequence[ConceptRun], limit: int = CONCEPTS) -> tuple[ConceptRun, ...]:
    """Order concepts by complexity, highest first; of too many keep both ends."""
    ordered = sorted(
        concepts,
        key=lambda concept: (-(concept.complexity or 0.0), -concept.size, concept.name),
    )
    if len(ordered) <= limit:
        return tuple(ordered)
    half = limit // 2
    return tuple([*ordered[:half], *ordered[-(limit - half) :]])
