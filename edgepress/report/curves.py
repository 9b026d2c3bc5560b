"""Learning curves: loss and validation scores of every model of the chain, over epochs.

Beneath each is the learning rate; a hollow dot is the epoch whose weights `keep: best` chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgepress.report.axes import ticks
from edgepress.report.lines import Axis, Chart, Dot, Frame, Line
from edgepress.report.run import Model

_DOT = 3
_KEPT = 5
_STRIP = 120


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
    rates = _strip(models)
    return [replace(chart, beneath=rates) for chart in charts if chart is not None]


def _strip(models: Sequence[Model]) -> Chart | None:
    """Return the learning rate of each model over its epochs, in its own height."""
    series = [
        (model.name, slot, _points(model.history, "learning_rate", 1.0))
        for slot, model in enumerate(models)
    ]
    values = [point for _, _, points in series for point in points]
    if not values:
        return None
    frame = Frame(
        Axis("epoch", ticks(min(x for x, _ in values), max(x for x, _ in values))),
        Axis("learning rate", ticks(0.0, max(y for _, y in values), 2)),
        _STRIP,
    )
    lines = [
        Line(name, slot, tuple(frame.at(point) for point in points), f"{points[-1][1]:.3g}", ())
        for name, slot, points in series
        if points
    ]
    return frame.chart("Learning rate", "Learning rate at the end of each epoch", lines)


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
            dots = [Dot(*at[-1], _DOT)]
            kept = {epoch["epoch"] for epoch in models[slot].history if "kept" in epoch}
            dots += [Dot(*frame.at(p), _KEPT, hollow=True) for p in points if p[0] in kept]
            lines.append(Line(name, slot, at, f"{points[-1][1]:.3g}", tuple(dots)))
    last = ", ".join(f"{line.name} {line.last}" for line in lines)
    return frame.chart(title, f"{title} per epoch; last values: {last}", lines)


def _points(
    history: Sequence[Mapping[str, float]], key: str, factor: float
) -> list[tuple[float, float]]:
    # A diverged epoch (NaN) has no place on the chart and must not take the page down.
    found = [(epoch["epoch"], factor * epoch[key]) for epoch in history if key in epoch]
    return [(x, y) for x, y in found if math.isfinite(y)]
