"""Pictures of a selection, as SVG or PNG bytes: what was kept, of which concepts and classes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.records.selection import Concept, Selection

KEPT, PRUNED, LINE = "#1f5f8b", "#d98236", "#9aa3ad"
_MOST_CLASSES = 200
_EACH = 6
"""Images of a side of a concept."""


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
    kept: npt.NDArray[np.int64],
    totals: npt.NDArray[np.int64],
    names: Sequence[str] | npt.NDArray[np.integer],
) -> bytes:
    """Return an SVG of the share kept of every class, or of the 200 largest where there are more.

    `kept` and `totals` are rows per class, [classes].
    """
    shown = np.sort(np.argsort(-totals, kind="stable")[:_MOST_CLASSES])
    shares = kept[shown] / np.maximum(totals[shown], 1)
    mean = float(kept.sum() / max(1, totals.sum()))
    label = "Share kept"
    if len(shown) < len(totals):
        label += f" (the {len(shown)} largest of {len(totals):,} classes)"
    figure, axes = _figure(label, "", height=0.7 + 0.24 * len(shown))
    axes.barh(np.arange(len(shown)), shares, color=KEPT, height=0.7)
    axes.axvline(mean, color=PRUNED, linewidth=1.2)
    axes.annotate(
        f"all rows: {mean:.0%}", (mean, -0.9), ha="center", color=PRUNED, annotation_clip=False
    )
    axes.set_yticks(np.arange(len(shown)), [_shortened(str(names[i])) for i in shown])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    return _svg(figure)


def concept_grid(
    shown: Sequence[Concept],
    examples: Mapping[tuple[int, bool], npt.NDArray[np.int64]],
    images: ImageSet,
    spec: InputSpec,
) -> bytes | None:
    """Return a PNG: a row per concept, examples kept on the left and pruned on the right.

    `examples` are places in `images` by concept and by kept or not, from the centre to the rim, of
    which some are drawn; None where there are none.
    """
    sides = {key: places[_evenly(len(places), _EACH)] for key, places in examples.items()}
    wanted = sorted({int(place) for places in sides.values() for place in places})
    if not wanted:
        return None
    pixels = _pixels(images, wanted, spec)
    figure = Figure(figsize=(8, 0.62 * len(shown) + 0.5), layout="constrained")
    grid: Any = figure.subplots(len(shown), 2 * _EACH + 1, squeeze=False)
    for line, concept in zip(grid, shown, strict=True):
        for cell in line:
            cell.axis("off")
        text = f"{concept.index}\n{concept.kept}/{concept.size}"
        line[_EACH].text(0.5, 0.5, text, ha="center", va="center", fontsize=7)
        for kept, first in ((True, 0), (False, _EACH + 1)):
            for column, place in enumerate(sides.get((concept.index, kept), ()), first):
                image = pixels[int(place)]
                line[column].imshow(image.squeeze(), cmap="gray" if image.shape[2] == 1 else None)
    figure.text(0.25, 1.0, "kept", ha="center", color=KEPT, weight="bold")
    figure.text(0.75, 1.0, "pruned", ha="center", color=PRUNED, weight="bold")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})
    return out.getvalue()


def spaced(selection: Selection, most: int = 10) -> list[Concept]:
    """Return up to `most` concepts, evenly over the order of complexity (of size without)."""
    ranked = sorted(
        (c for c in selection.concepts if c.size),
        key=lambda c: (-(c.complexity or 0.0), -c.size, c.index),
    )
    return [ranked[step] for step in _evenly(len(ranked), most)]


def _evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return up to `most` of the places 0..count, evenly over them, ends included."""
    steps = np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    return np.unique(steps)


def _pixels(
    images: ImageSet, wanted: Sequence[int], spec: InputSpec
) -> dict[int, npt.NDArray[np.uint8]]:
    return dict(zip(wanted, images.take(wanted).decoded(spec), strict=True))


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
