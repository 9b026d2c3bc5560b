"""Calibration error of boxes: how far the confidences of sure ones are from how often they hit.

Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, for
boxes as Küppers et al. 2020, https://arxiv.org/abs/2004.13546, without their bins of place. A box
hits where it takes an object of its class by an overlap of 0.5 or more. Confidences that are learnt
to tell the overlap as well, as this task's are, lie below the share of hits even where all is well:
what counts is the drop against the float network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.records.measurement import Score
from edgepress.tasks._average_precision import Matched
from edgepress.tasks._matching import HIT, LEFT_OUT

Doubles = npt.NDArray[np.float64]
NAME = "calibration_error"
BINS = 15
"""Equal ranges of confidence, 0 to 1, in which it is held against the hits."""


@dataclass(frozen=True)
class Calibration:
    """Sure boxes of N images: their number, confidences and hits in each range, [N, 3, BINS]."""

    sums: Doubles
    nothing: float
    """The error where no box is sure: 1 if there are objects to be found, else 0."""

    @classmethod
    def of(cls, matched: Matched, sure: float) -> Calibration:
        """Count the boxes from a confidence on; those that take what is not judged are left out."""
        outcome, listed = matched.outcome[:, 0], matched.listed
        these = np.flatnonzero((listed.score >= sure) & (outcome != LEFT_OUT))
        score = listed.score[these].astype(np.float64)
        place = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        sums = np.zeros((matched.images, 3, BINS))
        for row, values in enumerate((np.ones(len(these)), score, outcome[these] == HIT)):
            np.add.at(sums[:, row], (listed.image[these], place), values)
        return cls(sums, float(matched.judged.any()))

    def errors(self, weights: Doubles) -> Doubles:
        """Return the error [draws] of sets that hold each image `weights` [draws, N] times."""
        flat = weights @ self.sums.reshape(len(self.sums), -1)
        boxes, confidence, hits = np.moveaxis(flat.reshape(-1, 3, BINS), 1, 0)
        every = boxes.sum(axis=1)
        apart = np.abs(confidence - hits).sum(axis=1) / np.maximum(every, 1)
        return np.asarray(np.where(every > 0, apart, self.nothing))


def scored(
    mine: Calibration, theirs: Calibration | None, weights: Doubles, confidence: float
) -> Score:
    """Return the score, the better the lower, over images in bootstrap samples [draws, N].

    A sample is calibrated worse than the whole, so that the interval errs upwards.
    """
    items = weights.shape[1]
    whole = np.ones((1, items))
    now, drawn = float(mine.errors(whole)[0]), mine.errors(weights)
    drop = None
    if theirs is not None:
        rise = drawn - theirs.errors(weights)
        drop = intervals.between(rise, now - float(theirs.errors(whole)[0]), confidence)
    value = intervals.between(drawn, now, confidence)
    return Score(name=NAME, better="lower", value=value, drop=drop, items=items)
