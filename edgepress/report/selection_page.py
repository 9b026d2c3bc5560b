"""The page of `edgepress curate --report`: one self-contained HTML file."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.records.selection import Concept, Selection
from edgepress.report import selection_pictures
from edgepress.report.selection_tally import Labels, Tally, tally

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;max-width:60rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}.pictures img{max-width:29rem;width:100%}
.wide{max-width:100%}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #e3e7eb}
code{background:#f2f4f6;padding:0 .25rem}
"""
_MOST_CONCEPTS = 100
_COLUMNS = ("concept", "rows", "duplicates", "kept", "d_intra", "d_inter", "complexity", "share")


def render(
    selection: Selection,
    folder: Path,
    labels: Labels | None = None,
    images: ImageSet | None = None,
) -> str:
    """Return the page of the selection in `folder`.

    Labels per row add the share kept per class; images whose ids are those of the
    selection are shown, and bring their labels where none are given.
    """
    shown = [] if images is None else selection_pictures.spaced(selection)
    found = tally(selection, folder, labels, images, [concept.index for concept in shown])
    drawn = [selection_pictures.quota_by_size(selection)]
    complexity = selection_pictures.complexity_by_size(selection)
    if complexity is not None:
        drawn.insert(0, complexity)
    if labels is not None:
        drawn.append(selection_pictures.kept_per_class(found.kept, found.totals, labels.names))
    elif images is not None:
        drawn.append(selection_pictures.kept_per_class(found.kept, found.totals, images.classes))
    parts = [_head(selection), '<div class="pictures">']
    parts += [_image(data, "svg+xml") for data in drawn]
    parts.append("</div>")
    if images is not None:
        parts.append(_grid(shown, found, images))
    parts.append(_concepts(selection))
    title = f"Selection by {escape(selection.method)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><body><h1>{title}</h1>{''.join(parts)}</body></html>\n"
    )


def _head(selection: Selection) -> str:
    settings = ", ".join(
        f"<code>{escape(key)}: {escape(str(value))}</code>"
        for key, value in selection.params.items()
        if key != "method"
    )
    duplicates = sum(concept.duplicates for concept in selection.concepts)
    return (
        f"<p>Kept <b>{selection.budget:,}</b> of {selection.rows:,} rows "
        f"({selection.budget / selection.rows:.1%}) in {len(selection.concepts):,} concepts; "
        f"{duplicates:,} near-duplicates were dropped first. Seed {selection.seed}. {settings}</p>"
    )


def _grid(shown: list[Concept], found: Tally, images: ImageSet) -> str:
    spec = InputSpec(height=64, width=64, channels=3, mean=(0, 0, 0), std=(1, 1, 1))
    png = selection_pictures.concept_grid(shown, found.examples, images, spec)
    if png is None:
        return ""
    return (
        "<h2>Concepts, from complex to simple; within each side from the centre to the rim</h2>"
        + _image(png, "png", "wide")
    )


def _image(data: bytes, kind: str, style: str = "") -> str:
    text = base64.b64encode(data).decode()
    return f'<img class="{style}" alt="" src="data:image/{kind};base64,{text}">'


def _concepts(selection: Selection) -> str:
    ranked = sorted(selection.concepts, key=lambda c: (-(c.complexity or 0.0), c.index))
    rows = "".join(
        f"<tr><td>{c.index}</td><td>{c.size:,}</td><td>{c.duplicates:,}</td><td>{c.kept:,}</td>"
        f"<td>{_number(c.d_intra)}</td><td>{_number(c.d_inter)}</td>"
        f"<td>{_number(c.complexity)}</td><td>{_number(c.probability)}</td></tr>"
        for c in ranked[:_MOST_CONCEPTS]
    )
    cells = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    more = len(ranked) - _MOST_CONCEPTS
    note = f"<p>{more:,} more are in the record.</p>" if more > 0 else ""
    return f"<h2>Numbers per concept</h2><table><tr>{cells}</tr>{rows}</table>{note}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
