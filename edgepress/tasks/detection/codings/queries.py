"""Queries: a network gives a set of boxes, each with a logit of its own for every class.

As in D-FINE, Peng et al. 2024, https://arxiv.org/abs/2410.13842, and in DETR before it. A box is
its middle's x, y, width and height as shares of the input. The answer is the surest pairs of a box
and a class, `task.most_answers` of them; each object has learnt to have one query, so that nothing
need be suppressed: with `task.overlap` 1 nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors, TensorSpec
from edgepress.tasks.detection.codings.coding import Candidates, Floats

BOXES, SCORES = "boxes_queries", "scores_queries"
"""Names of the two outputs."""


class Params(Config):
    """How many boxes there are."""

    method: Literal["queries"]
    queries: int = Field(ge=1, le=1000)
    """Boxes that the network gives of every image, whatever is on it; 300 in the paper."""


@dataclass(frozen=True)
class Queries:
    """Boxes [1, Q, 4] and logits [1, Q, classes]."""

    classes: int
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:  # noqa: ARG002
        """Return boxes and logits; they are as many for an input of any size."""
        count = self.params.queries
        return (
            TensorSpec(name=BOXES, shape=(1, count, 4), layout="NLC"),
            TensorSpec(name=SCORES, shape=(1, count, self.classes), layout="NLC"),
        )

    def candidates(self, raw: Tensors, spec: InputSpec, least: float) -> Candidates:
        """Return every pair of a query and a class above a confidence."""
        logits = np.asarray(raw[SCORES], np.float32)
        query, category = np.nonzero(logits > np.log(least) - np.log1p(-least))
        shares = np.asarray(raw[BOXES], np.float32)[query]
        scores = 1 / (1 + np.exp(-logits[query, category]))
        return Candidates(boxes_of(shares, spec), scores.astype(np.float32), category)


def coding(classes: int, *, params: Params) -> Queries:
    """Return the coding for a number of classes."""
    return Queries(classes, params)


def boxes_of(shares: Floats, spec: InputSpec) -> Floats:
    """Map middles and sides [n, 4], shares of the input, to left, top, right, bottom in pixels."""
    middle, half = shares[:, :2], shares[:, 2:] / 2
    frame = np.array([spec.width, spec.height] * 2, np.float32)
    return np.concatenate([middle - half, middle + half], axis=1) * frame
