"""Parts of detection: pictures larger than the input by tiles, where `task.tiles` says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepress.data.placement import placement
from edgepress.data.window import Window
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.detection import tiles
from edgepress.tasks.detection.labels import Params
from edgepress.tasks.detection.windows import Tiles, windows


@dataclass(frozen=True)
class Parts:
    """Tiles as params.yaml has them; answers are told in pixels of the input, as truth is.

    The overlap of two boxes is the same there and in the picture's own pixels, even stretched.
    """

    params: Params
    tiles: Tiles

    def windows(self, size: tuple[int, int], spec: InputSpec) -> list[Window]:
        """Return the tiles of a picture of `size` (width, height)."""
        return windows(size, spec, self.tiles)

    def merged(self, found: Arrays, size: tuple[int, int], spec: InputSpec) -> Arrays:
        """Return the answers of all tiles as one, where the whole picture's would lie."""
        parts = self.windows(size, spec)
        if len(parts) == 1:
            return found
        whole = tiles.merged(found, parts, spec, self.params)
        place = placement(size, spec)
        corner = np.array([place.left, place.top] * 2, np.float32)
        moved = whole["boxes"] * np.array(place.scale * 2, np.float32) + corner
        there = whole["category"] >= 0
        return {**whole, "boxes": np.where(there[..., None], moved, 0).astype(np.float32)}


def parts(classes: tuple[str, ...], *, params: Params) -> Parts | None:  # noqa: ARG001
    """Return how pictures are cut; None where each is answered whole."""
    return None if params.tiles is None else Parts(params, params.tiles)
