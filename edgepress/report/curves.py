"""Learning curves: loss and validation scores of every model of the chain, over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgepress.report.axes import Scale, label, ticks
from edgepress.report.run import Model

WIDTH, HEIGHT = 460, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 34


@dataclass(frozen=True)
class Line:
    """One polyline: its name, its colour slot (0, 1, 2 ...) and its points in pixels."""

    name: str
    slot: int
    points: tuple[tuple[float, float], ...]
    last: str
    """The last value, written out."""

    @property
    def path(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True)
class Chart:
    """A line chart ready to draw: geometry in pixels of a WIDTH x HEIGHT box."""

    title: str
    x_title: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


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
    xs = ticks(min(x for x, _ in values), max(x for x, _ in values))
    ys = ticks(min(y for _, y in values), max(y for _, y in values))
    across = Scale(xs[0], xs[-1], _LEFT, WIDTH - _RIGHT)
    up = Scale(ys[0], ys[-1], HEIGHT - _BOTTOM, _TOP)
    lines = tuple(
        Line(name, slot, tuple((across(x), up(y)) for x, y in points), f"{points[-1][1]:.3g}")
        for name, slot, points in series
        if points
    )
    return Chart(
        title=title,
        x_title="epoch",
        x_ticks=tuple((across(x), label(x)) for x in xs),
        y_ticks=tuple((up(y), label(y)) for y in ys),
        lines=lines,
    )


def _points(
    history: Sequence[Mapping[str, float]], key: str, factor: float
) -> list[tuple[float, float]]:
    # A diverged epoch (NaN) has no place on the chart and must not take the page down.
    found = [(epoch["epoch"], factor * epoch[key]) for epoch in history if key in epoch]
    return [(x, y) for x, y in found if math.isfinite(y)]
