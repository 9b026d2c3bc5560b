"""Windows: where the tiles of a large picture lie."""

from __future__ import annotations

from pydantic import Field

from edgepress.data.window import Window
from edgepress.params import Config
from edgepress.records.inputs import InputSpec


class Tiles(Config):
    """How a picture is cut."""

    overlap: float = Field(ge=0, le=0.8)
    """Share of a tile that its neighbour has too, at least: the longest object over the side."""
    whole: bool
    """Whether the whole picture, shrunk, is answered as well, for objects larger than a tile."""


def windows(size: tuple[int, int], spec: InputSpec, tiles: Tiles) -> list[Window]:
    """Return the tiles of a picture of `size` (width, height), row by row, evenly spread.

    A side that fits into the input is not cut. The whole picture is last, if asked for.
    """
    across = _starts(size[0], spec.width, tiles.overlap)
    down = _starts(size[1], spec.height, tiles.overlap)
    found = [
        Window(left, top, min(left + spec.width, size[0]), min(top + spec.height, size[1]))
        for top in down
        for left in across
    ]
    whole = Window(0, 0, *size)
    return [*found, whole] if tiles.whole and found != [whole] else found


def _starts(side: int, tile: int, overlap: float) -> list[int]:
    if side <= tile:
        return [0]
    step = max(1, int(tile * (1 - overlap)))
    count = -(-(side - tile) // step) + 1
    return [round(index * (side - tile) / (count - 1)) for index in range(count)]
