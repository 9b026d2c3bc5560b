"""Learning curves: loss and validation scores of every model of the chain, over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgepress.report.axes import ticks
from edgepress.report.lines import Axis, Chart, Dot, Frame, Line
from edgepress.report.run import Model

_DOT = 3


def learning_curves(models: Sequence[Model]) -> list[Chart]:
    """Return a chart of the loss and one of every score that was watched while training."""
    watched = {
        name: None
        for model in models
        for epoch in model.history
        for name in epoch
        if name.startswith("val_")
    }
    wanted = [("Training loss", "loss", 1.0)]
    for name in watched:
        title = name.removeprefix("val_").replace("_", " ")
        wanted.append((f"Validation {title}, %", name, 100.0))
    charts = [_chart(title, models, key, factor) for title, key, factor in wanted]
    return [chart for chart in charts if chart is not None]


def _chart(title: str, models: Sequence[Model], key: str, factor: float) -> Chart | None:
    series = [
        (model.name, slot, _points(model.history, key, factor)) for slot, model in enumerate(models)
    ]
    values = [point for _, _, points in series for point in points]
    if not values:
        return None
    frame = Frame(
        Axis("epoch", ticks(min(x for x, _ in values), max(x for x, _ in values))),
        Axis("", ticks(min(y for _, y in values), max(y for _, y in values))),
    )
    lines = []
    for name, slot, points in series:
        if points:
            at = tuple(frame.at(point) for point in points)
            dot = Dot(*at[-1], _DOT)
            lines.append(Line(name, slot, at, f"{points[-1][1]:.3g}", (dot,)))
    last = ", ".join(f"{line.name} {line.last}" for line in lines)
    return frame.chart(title, f"{title} per epoch; last values: {last}", lines)


def _points(
    history: Sequence[Mapping[str, float]], key: str, factor: float
) -> list[tuple[float, float]]:
    # A diverged epoch (NaN) has no place on the chart and must not take the page down.
    found = [(epoch["epoch"], factor * epoch[key]) for epoch in history if key in epoch]
    return [(x, y) for x, y in found if math.isfinite(y)]
