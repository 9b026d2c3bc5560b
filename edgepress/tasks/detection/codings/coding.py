"""Coding: the contract of a file of codings/, that is what a network's maps say of boxes.

A network gives two maps a stride, `boxes_S` and `scores_S`; a coding says how many channels each
has, and what they mean. How it is learnt is the file of the same name in learning/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Level:
    """The maps of one stride and one item."""

    stride: int
    boxes: Floats
    """[C, h, w]"""
    scores: Floats
    """[D, h, w]"""


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
    """What the maps say, for a number of classes."""

    def channels(self) -> tuple[int, int]:
        """Return the channels of a map of boxes and of one of scores."""
        ...

    def candidates(self, levels: Sequence[Level], least: float) -> Candidates:
        """Return all boxes with a confidence above `least`; levels are finest first."""
        ...
