"""Examples: what curation kept, per concept and class, with images spread from centre to rim."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from edgepress.records.selection import Selection, SelectionTable
from edgepress.report.run import ClassCount, Concept, Curation, Example

PER_SIDE = 8
"""Kept and pruned images shown of one concept, at most."""
CONCEPTS = 24
"""Concepts shown; of more, the most and the least complex ones."""


def curation(selection: Selection, table: SelectionTable, labels: Mapping[str, str]) -> Curation:
    """Return what the page shows of a selection; `labels` maps image ids to class names."""
    sides: dict[tuple[int, bool], list[Example]] = {}
    total, kept = Counter[str](), Counter[str]()
    for row, name in enumerate(table.ids):
        label, stays = labels.get(str(name), "no label"), bool(table.kept[row])
        total[label] += 1
        kept[label] += stays
        away = float(table.distance[row])
        example = Example(str(name), label, away if math.isfinite(away) else 0.0)
        sides.setdefault((int(table.concept[row]), stays), []).append(example)
    concepts = [
        Concept(
            name=f"Concept {found.index}",
            size=found.size + found.duplicates,
            kept=found.kept,
            complexity=found.complexity,
            kept_examples=spread(sides.get((found.index, True), [])),
            pruned_examples=spread(sides.get((found.index, False), [])),
        )
        for found in selection.concepts
    ]
    return Curation(
        method=selection.method,
        total=selection.rows,
        kept=selection.budget,
        concepts=shown(concepts),
        classes=tuple(ClassCount(name, total[name], kept[name]) for name in sorted(total)),
    )


def spread(images: Sequence[Example], limit: int = PER_SIDE) -> tuple[Example, ...]:
    """Return at most `limit` images in order of distance, evenly spaced, both ends included."""
    ordered = sorted(images, key=lambda image: (image.distance, image.id))
    if len(ordered) <= limit:
        return tuple(ordered)
    last = len(ordered) - 1
    return tuple(ordered[round(index * last / (limit - 1))] for index in range(limit))


def shown(concepts: Sequence[Concept], limit: int = CONCEPTS) -> tuple[Concept, ...]:
    """Order concepts by complexity, highest first; of too many keep both ends."""
    ordered = sorted(
        concepts,
        key=lambda concept: (-(concept.complexity or 0.0), -concept.size, concept.name),
    )
    if len(ordered) <= limit:
        return tuple(ordered)
    half = limit // 2
    return tuple([*ordered[:half], *ordered[-(limit - half) :]])
