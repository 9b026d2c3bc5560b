"""Pictures of a selection, as SVG or PNG bytes: what was kept, of which concepts and classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.records.selection import Selection, SelectionTable

KEPT, PRUNED, LINE = "#1f5f8b", "#d98236", "#9aa3ad"


def complexity_by_size(selection: Selection) -> bytes | None:
    """Return an SVG of each concept's complexity against its size; None without complexities."""
    concepts = [c for c in selection.concepts if c.size and c.complexity is not None]
    if not concepts:
        return None
    figure, axes = _figure("Concept size (rows)", "Complexity (d_intra x d_inter)")
    kept = [c.kept / c.size for c in concepts]
    points = axes.scatter(
        [c.size for c in concepts],
        [c.complexity or 0.0 for c in concepts],
        c=kept, cmap="viridis", vmin=0, vmax=1, s=18, edgecolors="white", linewidths=0.4,
    )  # fmt: skip
    figure.colorbar(points, ax=axes, label="Share kept")
    _spread(axes, [c.size for c in concepts])
    return _svg(figure)


def quota_by_size(selection: Selection) -> bytes:
    """Return an SVG of rows kept against rows there are, per concept, both in rows."""
    concepts = [c for c in selection.concepts if c.size]
    sizes = [c.size for c in concepts]
    figure, axes = _figure("Concept size (rows)", "Rows kept")
    top = max(sizes)
    share = selection.budget / max(1, sum(sizes))
    axes.plot([0, top], [0, top], color=LINE, linewidth=1, label="all kept")
    axes.plot(
        [0, top], [0, share * top], color=LINE, linewidth=1, linestyle="--",
        label=f"the same share of each ({share:.0%})",
    )  # fmt: skip
    axes.scatter(
        sizes, [c.kept for c in concepts], color=KEPT, s=18, edgecolors="white", linewidths=0.4
    )
    axes.legend(frameon=False, loc="upper left")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    return _svg(figure)


def kept_per_class(
    kept: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], names: Sequence[str]
) -> bytes:
    """Return an SVG of the share kept of every class; `kept` and `labels` are per row, [N]."""
    totals = np.bincount(labels, minlength=len(names))
    shares = np.bincount(labels[kept], minlength=len(names)) / np.maximum(totals, 1)
    figure, axes = _figure("Share kept", "", height=0.7 + 0.24 * len(names))
    places = np.arange(len(names))
    axes.barh(places, shares, color=KEPT, height=0.7)
    axes.axvline(float(kept.mean()), color=PRUNED, linewidth=1.2)
    axes.annotate(
        f"all rows: {kept.mean():.0%}", (float(kept.mean()), -0.9), ha="center", color=PRUNED,
        annotation_clip=False,
    )  # fmt: skip
    axes.set_yticks(places, [_shortened(name) for name in names])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    return _svg(figure)


def concept_grid(
    selection: Selection, table: SelectionTable, images: ImageSet, spec: InputSpec
) -> bytes | None:
    """Return a PNG: a row per concept, examples kept on the left and pruned on the right.

    Concepts run from the most to the least complex; None where no row has an image in `images`.
    """
    place = {name: index for index, name in enumerate(images.ids)}
    shown = [concept.index for concept in _spaced(selection)]
    each = 6
    picks = [
        [_spaced_rows(table, concept, kept, each, place) for kept in (True, False)]
        for concept in shown
    ]
    wanted = [str(table.ids[row]) for pair in picks for side in pair for row in side]
    if not wanted:
        return None
    pixels = _pixels(images, wanted, spec)
    figure = Figure(figsize=(8, 0.62 * len(shown) + 0.5), layout="constrained")
    grid: Any = figure.subplots(len(shown), 2 * each + 1, squeeze=False)
    for line, (concept, pair) in enumerate(zip(shown, picks, strict=True)):
        for cell in grid[line]:
            cell.axis("off")
        facts = selection.concepts[concept]
        grid[line][each].text(
            0.5, 0.5, f"{concept}\n{facts.kept}/{facts.size}", ha="center", va="center", fontsize=7
        )
        for side, rows in enumerate(pair):
            for column, row in enumerate(rows):
                image = pixels[str(table.ids[row])]
                cell = grid[line][column + side * (each + 1)]
                cell.imshow(image.squeeze(), cmap="gray" if image.shape[2] == 1 else None)
    figure.text(0.25, 1.0, "kept", ha="center", color=KEPT, weight="bold")
    figure.text(0.75, 1.0, "pruned", ha="center", color=PRUNED, weight="bold")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})
    return out.getvalue()


def _spaced(selection: Selection, most: int = 10) -> list[Any]:
    """Return up to `most` concepts, evenly over the order of complexity (of size without)."""
    ranked = sorted(
        (c for c in selection.concepts if c.size),
        key=lambda c: (-(c.complexity or 0.0), -c.size, c.index),
    )
    steps = np.unique(np.linspace(0, len(ranked) - 1, min(most, len(ranked))).round().astype(int))
    return [ranked[step] for step in steps]


def _spaced_rows(
    table: SelectionTable, concept: int, kept: bool, each: int, place: dict[str, int]
) -> list[int]:
    """Return up to `each` rows with images of one side of a concept, from centre to rim."""
    rows = np.flatnonzero((table.concept == concept) & (table.kept == kept))
    rows = rows[np.argsort(table.distance[rows], kind="stable")]
    known = [int(row) for row in rows if str(table.ids[row]) in place]
    steps = np.unique(np.linspace(0, len(known) - 1, min(each, len(known))).round().astype(int))
    return [known[step] for step in steps]


def _pixels(
    images: ImageSet, wanted: Sequence[str], spec: InputSpec
) -> dict[str, npt.NDArray[np.uint8]]:
    from edgepress.data.preprocess import decode

    place = {name: index for index, name in enumerate(images.ids)}
    ordered = sorted(set(wanted), key=lambda name: place[name])
    return {name: decode(images.encoded(place[name]), spec) for name in ordered}


def _figure(across: str, up: str, height: float = 3.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, height), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _spread(axes: Axes, sizes: Sequence[int]) -> None:
    """Use a logarithmic scale where sizes range over more than a factor of thirty."""
    if max(sizes) > 30 * min(sizes):
        axes.set_xscale("log")


def _shortened(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}."


def _svg(figure: Figure) -> bytes:
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "edgepress", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
