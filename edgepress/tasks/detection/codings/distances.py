"""Anchor-free: at each place a confidence for every class, and how far the box's sides are.

Confidences are logits of their own. Distances are of the place's middle from the four sides, as
logarithms of strides (`boxes.boxes_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors, TensorSpec
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.codings import maps
from edgepress.tasks.detection.codings.coding import Candidates
from edgepress.tasks.detection.codings.maps import Level


class Params(Config):
    """Nothing to choose."""

    method: Literal["distances"]


@dataclass(frozen=True)
class Distances:
    """Maps of 4 logarithms and of a logit for each class."""

    classes: int
    strides: tuple[int, ...]

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return two maps a stride."""
        return maps.outputs(spec, self.strides, (4, self.classes))

    def candidates(self, raw: Tensors, spec: InputSpec, least: float) -> Candidates:  # noqa: ARG002
        """Return the boxes of all places and classes above a confidence."""
        cut = np.log(least) - np.log1p(-least)
        return Candidates.joined([self._of(each, cut) for each in maps.levels(raw, self.strides)])

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


def coding(classes: int, strides: tuple[int, ...]) -> Distances:
    """Return the coding for a number of classes."""
    return Distances(classes, strides)
