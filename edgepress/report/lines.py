"""Line charts ready to draw: geometry in pixels of a box, for templates/lines.svg.j2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgepress.report.axes import Scale, label

WIDTH, HEIGHT = 460, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 34
_TITLED = 30
"""Top of a chart that names its upright axis."""
_TONES = 4
Point = tuple[float, float]


@dataclass(frozen=True)
class Dot:
    """A circle at a pixel; a hollow one is a mark of its own."""

    x: float
    y: float
    radius: float
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """One polyline: its name, its place among the lines, and its points in pixels."""

    name: str
    slot: int
    points: tuple[Point, ...]
    last: str
    """What the line comes to, written out."""
    dots: tuple[Dot, ...]

    @property
    def path(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{x},{y}" for x, y in self.points)

    @property
    def style(self) -> str:
        """Classes of the line: its tone, and its dashes where tones come again."""
        return f"series-{self.slot % _TONES} again-{self.slot // _TONES}"


@dataclass(frozen=True)
class Axis:
    """The title and round values of one axis; the ends are the first and last of them."""

    title: str
    ticks: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """What the template draws."""

    title: str
    said: str
    """The chart in words, for who cannot see it."""
    x_title: str
    y_title: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    top: int
    diagonal: bool = False
    note: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    beneath: Chart | None = None
    """A strip that shares its upright lines."""
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM

    def noted(self, note: str, diagonal: bool) -> Chart:
        """Return the chart with a note under it, and the line on which all would be best."""
        return replace(self, note=note, diagonal=diagonal)


@dataclass(frozen=True)
class Frame:
    """Two axes and the maps from their values to pixels."""

    x: Axis
    y: Axis
    height: int = HEIGHT

    @property
    def across(self) -> Scale:
        """Map values of x to pixels."""
        return Scale(self.x.ticks[0], self.x.ticks[-1], _LEFT, WIDTH - _RIGHT)

    @property
    def up(self) -> Scale:
        """Map values of y to pixels."""
        return Scale(self.y.ticks[0], self.y.ticks[-1], self.height - _BOTTOM, self.top)

    @property
    def top(self) -> int:
        """Pixel of the highest value."""
        return _TITLED if self.y.title else _TOP

    def at(self, point: Point) -> Point:
        """Return the pixel of a point."""
        return self.across(point[0]), self.up(point[1])

    def chart(self, title: str, said: str, lines: Sequence[Line]) -> Chart:
        """Return a chart of lines."""
        return Chart(
            title=title,
            said=said,
            x_title=self.x.title,
            y_title=self.y.title,
            x_ticks=tuple((self.across(x), label(x)) for x in self.x.ticks),
            y_ticks=tuple((self.up(y), label(y)) for y in self.y.ticks),
            lines=tuple(lines),
            top=self.top,
            height=self.height,
            bottom=self.height - _BOTTOM,
        )
