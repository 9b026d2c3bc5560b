"""The run's graph: stage executions in columns by depth, joined by their dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgepress.report.run import StageRun

_SINGLE_WIDTH, _SINGLE_HEIGHT, _THIN = 78, 42, 24
_GAP_X, _GAP_Y, _MARGIN, _HEADING = 16, 6, 4, 20
_CHARACTER, _TIME_WIDTH, _PADDING = 7.1, 44, 18


@dataclass(frozen=True)
class Node:
    """One stage execution placed on the canvas, in pixels."""

    run: StageRun
    x: float
    y: float
    width: float
    height: float
    share: float
    """Its part of the slowest execution's time, between 0 and 1."""
    text: str
    """The stage's name or its key; empty where the box to the left says the same key."""

    @property
    def time(self) -> str:
        """Seconds, or a dash where none were recorded."""
        seconds = self.run.seconds
        if seconds is None:
            return "–"
        return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


@dataclass(frozen=True)
class Graph:
    """Nodes, edges as SVG path data, and column headings, in a width x height box."""

    nodes: tuple[Node, ...]
    edges: tuple[str, ...]
    headings: tuple[tuple[float, float, str], ...]
    """Centre and baseline in pixels, and the name, over each column of templated stages."""
    width: float
    height: float
    seconds: float
    """Seconds of all executions together."""


def lay_out(stages: Sequence[StageRun]) -> Graph | None:
    """Place executions left to right, a column per stage; None for a run that recorded no stage."""
    if not stages:
        return None
    columns = _columns(stages)
    tallest = max(_tall(column) for column in columns)
    nodes: dict[str, Node] = {}
    headings: list[tuple[float, float, str]] = []
    x, shown = float(_MARGIN), frozenset[str]()
    for column in columns:
        y = _MARGIN + _HEADING + (tallest - _tall(column)) / 2
        placed = _place(column, x, y, shown)
        nodes.update({node.run.title: node for node in placed})
        if column[0].key is not None:
            headings.append((x + placed[0].width / 2, y - _GAP_Y, column[0].name))
        x += placed[0].width + _GAP_X
        shown = frozenset(stage.key for stage in column if stage.key is not None)
    slowest = max(stage.seconds or 0.0 for stage in stages) or 1.0
    return Graph(
        tuple(replace(node, share=(node.run.seconds or 0.0) / slowest) for node in nodes.values()),
        tuple(
            _edge(nodes[before], nodes[stage.title])
            for stage in stages
            for before in stage.after
            if before in nodes
        ),
        tuple(headings),
        x - _GAP_X + _MARGIN,
        _MARGIN + _HEADING + tallest + _MARGIN,
        sum(stage.seconds or 0.0 for stage in stages),
    )


def _columns(stages: Sequence[StageRun]) -> list[list[StageRun]]:
    """One column per stage name, in the order given, which is the order of the run."""
    columns: dict[str, list[StageRun]] = {}
    for stage in stages:
        columns.setdefault(stage.name, []).append(stage)
    return list(columns.values())


def _place(column: list[StageRun], x: float, y: float, shown: frozenset[str]) -> list[Node]:
    """Stack one column's boxes; keys already written in the column to the left are not repeated."""
    height = _SINGLE_HEIGHT if column[0].key is None else _THIN
    repeated = {stage.key for stage in column} <= shown
    texts = ["" if repeated else (stage.key or stage.name) for stage in column]
    width = float(_SINGLE_WIDTH)
    if column[0].key is not None:
        longest = max(map(len, texts))
        width = _TIME_WIDTH + _PADDING + (longest * _CHARACTER if longest else 0)
    return [
        Node(stage, x, y + index * (height + _GAP_Y), width, height, 0.0, text)
        for index, (stage, text) in enumerate(zip(column, texts, strict=True))
    ]


def _tall(column: list[StageRun]) -> float:
    height = _SINGLE_HEIGHT if column[0].key is None else _THIN
    return len(column) * (height + _GAP_Y) - _GAP_Y


def _edge(start: Node, end: Node) -> str:
    x0, y0 = start.x + start.width, start.y + start.height / 2
    x1, y1 = end.x, end.y + end.height / 2
    middle = (x0 + x1) / 2
    return f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
