"""Coding: the contract of a file of codings/, that is what a network's maps say of boxes.

A coding names a network's outputs and says what they mean. How it is learnt is the file of the same
name in learning/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors, TensorSpec

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """The n boxes that may be answers, each with one class."""

    boxes: Floats
    """[n, 4]: left, top, right, bottom, in input pixels."""
    scores: Floats
    """[n]: confidence, 0 to 1."""
    category: npt.NDArray[np.int64]
    """[n]"""

    @classmethod
    def joined(cls, parts: Sequence[Candidates]) -> Candidates:
        """Return the candidates of all levels, in order."""
        return cls(
            np.concatenate([each.boxes for each in parts]),
            np.concatenate([each.scores for each in parts]),
            np.concatenate([each.category for each in parts]),
        )


class Coding(Protocol):
    """What a network's outputs say, for a number of classes."""

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return what a network gives for one item."""
        ...

    def candidates(self, raw: Tensors, spec: InputSpec, least: float) -> Candidates:
        """Return all boxes above a confidence; `raw` is of one item, without a batch."""
        ...
