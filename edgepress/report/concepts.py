"""Concepts as marks: complexity and images kept, each against size, as the charts take it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edgepress.report import words
from edgepress.report.examples import CONCEPTS
from edgepress.report.run import ConceptRun, Curation

_SIZE = {"id": "size", "title": "concept size", "unit": "images", "whole": True}
_KEPT = {"id": "kept", "title": "kept", "unit": "images", "whole": True}
_COMPLEXITY = {"id": "complexity", "title": "complexity", "unit": ""}
AXES: tuple[dict[str, Any], ...] = (
    _SIZE,
    {"id": "duplicates", "title": "near-duplicates", "unit": "images"},
    _KEPT,
    {"id": "share", "title": "share kept", "unit": "%"},
    _COMPLEXITY,
)
"""What is said of a concept, in this order."""
_WIDE = 30
"""Sizes that range over more than this factor are drawn on a logarithmic axis."""


def scatters(curation: Curation | None) -> dict[str, Any]:
    """Return points, smallest concept first, and charts: none where fewer than two have images.

    A method that knows no complexity has the chart of images kept alone.
    """
    found = [] if curation is None else [concept for concept in curation.numbers if concept.size]
    found.sort(key=lambda concept: (concept.size, concept.name))
    if curation is None or len(found) < 2:
        return {"axes": AXES, "points": [], "charts": []}
    points = [_point(concept, labelled=len(found) <= CONCEPTS) for concept in found]
    charts = [_kept_by_size(curation)]
    if any("complexity" in point["axes"] for point in points):
        charts.insert(0, _complexity_by_size(found))
    return {"axes": AXES, "points": points, "charts": charts}


def _complexity_by_size(found: Sequence[ConceptRun]) -> dict[str, Any]:
    wide = found[-1].size > _WIDE * found[0].size
    return {
        "title": "Complexity against size",
        "x": {**_SIZE, "log": wide},
        "y": {**_COMPLEXITY, "title": "complexity (d_intra × d_inter)"},
        "lines": [],
    }


def _kept_by_size(curation: Curation) -> dict[str, Any]:
    share = curation.kept / curation.total
    lines = [{"name": "all kept", "slope": 1.0, "style": "series-2"}]
    if share < 1:
        name = f"the same share of each ({words.percent(share)})"
        lines.append({"name": name, "slope": share, "style": "series-1"})
    return {
        "title": "Images kept against size",
        "x": {**_SIZE, "from": 0},
        "y": {**_KEPT, "from": 0},
        "lines": lines,
    }


def _point(concept: ConceptRun, *, labelled: bool) -> dict[str, Any]:
    axes: dict[str, list[float]] = {
        "size": [concept.size],
        "kept": [concept.kept],
        "share": [100 * concept.kept / concept.size],
    }
    if concept.duplicates:
        axes["duplicates"] = [concept.duplicates]
    if concept.complexity is not None and math.isfinite(concept.complexity):
        axes["complexity"] = [concept.complexity]
    # Beside a mark there is room for the number alone.
    label = concept.name.removeprefix("Concept ") if labelled else ""
    return {"key": concept.name, "label": label, "axes": axes}
