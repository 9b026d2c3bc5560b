"""Made scenes: real handwritten digits of several sizes on noisy canvases, with boxes and points.

The digits are scikit-learn's; those of the training scenes are in no other split. Each object has
its box, and as points the uppermost, rightmost, lowest and leftmost of its ink.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import Field

from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.sources._digits import Grey, digits, png
from edgepress.data.sources._objects import labelled
from edgepress.params import Config
from edgepress.records.manifest import IMAGES, SPLITS, Split

_FILE = f"{IMAGES}/scenes.parquet"
_SHARES: dict[Split, float] = {"train": 0.6, "val": 0.1, "test": 0.3}
_TRIES = 20
_INK = 96
"""Grey level from which a pixel of a digit is ink."""


class Params(Config):
    """How many scenes there are, how large, and what is on them."""

    method: Literal["digit_scenes"]
    scenes: int = Field(ge=20, le=100_000)
    """Canvases; 60 % are for training, 10 % for validation."""
    side: int = Field(ge=24, le=1024)
    """Pixels of a canvas, both ways."""
    least: int = Field(ge=0, le=20)
    """Digits on a canvas, at least."""
    most: int = Field(ge=1, le=20)
    """Digits on a canvas, at most; fewer where they would lie over one another."""
    digits: tuple[Annotated[int, Field(ge=0, le=9)], ...] = tuple(range(10))
    """Those that are drawn, in the order of the classes."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """Draw the scenes as PNG below `folder` and list them with their objects."""
    scenes = list(_scenes(params))
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    encoded = pa.array([png(canvas) for _, canvas, _ in scenes], pa.binary())
    pq.write_table(pa.table({"image": encoded}), folder / _FILE, row_group_size=1024)
    known = [(split, objects) for split, _, objects in scenes]

    def entries() -> Iterator[Entry]:
        for row, (split, objects) in enumerate(known):
            label = {"width": params.side, "height": params.side, "relative": False}
            yield Entry(
                f"scenes/{row:05}", _FILE, {**label, "objects": objects}, split=split, row=row
            )

    return Listing(
        source=params.method,
        where="scenes of scikit-learn's digits",
        container="parquet",
        inside=True,
        classes=tuple(map(str, params.digits)),
        splits=frozenset(SPLITS),
        entries=entries,
        column="image",
        labels=OBJECTS,
    )


def _scenes(params: Params) -> Iterator[tuple[Split, Grey, list[dict[str, Any]]]]:
    pictures, known = digits()
    levels = pictures[np.isin(known, params.digits)]
    categories = [params.digits.index(digit) for digit in known if digit in params.digits]
    rng = np.random.default_rng(0)
    edges = np.cumsum([0, *_SHARES.values()])
    for number in range(params.scenes):
        share = (number + 0.5) / params.scenes
        index = int(np.searchsorted(edges, share) - 1)
        pool = np.arange(int(edges[index] * len(levels)), int(edges[index + 1] * len(levels)))
        chosen = rng.choice(pool, rng.integers(params.least, params.most + 1))
        canvas, objects = _scene(rng, params.side, [(levels[i], categories[i]) for i in chosen])
        yield SPLITS[index], canvas, objects


def _scene(
    rng: np.random.Generator, side: int, digits: list[tuple[Grey, int]]
) -> tuple[Grey, list[dict[str, Any]]]:
    """Put digits where they cover none before them; one that finds no place is left out."""
    canvas = rng.integers(0, 60, (side, side)).astype(np.uint8)
    objects: list[dict[str, Any]] = []
    for picture, category in digits:
        for _ in range(_TRIES):
            size = int(rng.integers(max(8, side // 6), max(9, side // 2)))
            drawn = np.asarray(Image.fromarray(picture).resize((size, size)))
            left, top = rng.integers(0, side - size + 1, 2).tolist()
            found = _object(drawn, category, (left, top))
            if not any(_touch(found["box"], each["box"]) for each in objects):
                place = canvas[top : top + size, left : left + size]
                np.maximum(place, drawn, out=place)
                objects.append(found)
                break
    return canvas, objects


def _object(drawn: Grey, category: int, corner: tuple[int, int]) -> dict[str, Any]:
    """Return a digit's label: the box of its ink, and the ink's four outermost points."""
    rows, columns = np.nonzero(drawn >= _INK)
    ends = (rows.argmin(), columns.argmax(), rows.argmax(), columns.argmin())
    points = [
        value for end in ends for value in (*np.add((columns[end], rows[end]), corner) + 0.5, 2.0)
    ]
    low = np.add((columns.min(), rows.min()), corner)
    high = np.add((columns.max(), rows.max()), corner) + 1
    box = [float(value) for value in (*low, *high)]
    return labelled(category, box=box, points=[float(value) for value in points])


def _touch(a: list[float], b: list[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
