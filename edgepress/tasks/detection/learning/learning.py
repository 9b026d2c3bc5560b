"""Learning of a coding: the contract of a file of learning/, and which is a coding's."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from edgepress.tasks.detection.codings import distances as distances_coding
from edgepress.tasks.detection.codings import queries as queries_coding
from edgepress.tasks.detection.labels import Params
from edgepress.tasks.detection.learning import default_boxes, distances, queries

Outputs = dict[str, Tensor]


class Learning(Protocol):
    """Losses of one coding's outputs, and their boxes in torch."""

    def loss(self, outputs: Outputs, truth: Outputs) -> Outputs:
        """Return `loss`, and its parts."""
        ...

    def divergence(self, student: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        """Return how far scores and boxes are from a teacher's, where the teacher sees objects."""
        ...

    def found(self, outputs: Outputs, limit: Tensor) -> tuple[Tensor, Tensor]:
        """Return every box [N, A, 4] in input pixels, and its confidences [N, A, classes].

        `limit` [4] is the size of the input: width, height, width, height.
        """
        ...


def opened(params: Params) -> Learning:
    """Return the learning of the coding that a task names."""
    if isinstance(params.coding, queries_coding.Params):
        return queries.Learning()
    if isinstance(params.coding, distances_coding.Params):
        return distances.Learning(params.strides)
    return default_boxes.Learning(params.strides, params.coding)
