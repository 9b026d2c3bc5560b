"""Anchor-free: at each place a confidence for every class, and how far the box's sides are.

Confidences are logits of their own. Distances are of the place's middle from the four sides, as
logarithms of strides (`boxes.boxes_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgepress.params import Config
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.codings.coding import Candidates, Level


class Params(Config):
    """Nothing to choose."""

    method: Literal["distances"]


@dataclass(frozen=True)
class Distances:
    """Maps of 4 logarithms and of a logit for each class."""

    classes: int
    params: Params

    def channels(self) -> tuple[int, int]:
        """Return the channels of a map of boxes and of one of scores."""
        return 4, self.classes

    def candidates(self, levels: Sequence[Level], least: float) -> Candidates:
        """Return the boxes of all places and classes above a confidence."""
        cut = np.log(least) - np.log1p(-least)
        return Candidates.joined([self._of(level, cut) for level in levels])

    def _of(self, level: Level, cut: float) -> Candidates:
        logits = level.scores.reshape(self.classes, -1)
        category, place = np.nonzero(logits > cut)
        rows, columns = level.scores.shape[1:]
        stride = level.stride
        places = boxes.middles(rows * stride, columns * stride, stride)[place]
        far = level.boxes.reshape(4, -1).T[place]
        found = boxes.boxes_of(far, places, np.array([stride], np.float32))
        scores = 1 / (1 + np.exp(-logits[category, place]))
        return Candidates(found, scores.astype(np.float32), category)


def coding(classes: int, *, params: Params) -> Distances:
    """Return the coding for a number of classes."""
    return Distances(classes, params)
