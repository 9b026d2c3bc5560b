"""Measures of multi-label answers, in many bootstrap samples at once.

Calibration: Guo et al. 2017, "On Calibration of Modern Neural Networks",
https://arxiv.org/abs/1706.04599, over all pairs of image and class together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgepress.records.tensors import Arrays
from edgepress.tasks.multilabel.decoding import NO_ANSWER
from edgepress.tasks.multilabel.ranking import Doubles, Draws, Ranked

BINS = 15
"""Equal ranges of confidence in which it is held against what is there."""


@dataclass(frozen=True)
class Measures:
    """What the scores of one set of answers are counted from, image by image."""

    ranked: tuple[Ranked, ...]
    """One for each class."""
    counts: npt.NDArray[np.float32]
    """Hits, false alarms and misses, [N, 3, C]."""
    bins: Doubles
    """Pairs, their confidences and how many are there, in each range of confidence, [N, 3, B]."""
    exact: npt.NDArray[np.bool_]
    """[N]: every class is right."""

    @classmethod
    def of(cls, answers: Arrays, present: npt.NDArray[np.bool_]) -> Self:
        """Hold answers against the truth, bool [N, C]."""
        none = (answers["present"] == NO_ANSWER)[:, :1]
        given = np.where(none, ~present, answers["present"] == 1)
        # Ranked where it does most harm: behind all others, or before them.
        ranks = np.where(none, np.where(present, -1.0, 2.0), answers["scores"])
        confidence = np.where(none, 1.0 - present, answers["scores"]).astype(np.float64)
        counts = np.stack([given & present, given & ~present, ~given & present], axis=1)
        return cls(
            tuple(map(Ranked.of, ranks.T, present.T)),
            counts.astype(np.float32),
            _bins(confidence, present),
            (given == present).all(axis=1),
        )

    def taken(self, draws: Draws) -> dict[str, Doubles]:
        """Return the measures of D samples: `ap` and `f1` [D, C], those of the whole [D].

        A class that no image of a sample has is NaN there and in no mean.
        """
        ap = np.stack([each.precision(draws) for each in self.ranked], axis=1)
        counts = _summed(draws, self.counts)
        f1 = np.where(np.isnan(ap), np.nan, _f1(counts))
        pairs, confidence, there = np.moveaxis(_summed(draws, self.bins), 1, 0)
        return {
            "ap": ap,
            "f1": f1,
            "mean_ap": _mean(ap),
            "micro_f1": _f1(counts.sum(axis=2, keepdims=True))[:, 0],
            "macro_f1": _mean(f1),
            "exact_match": draws.counts @ self.exact / draws.counts.sum(axis=1),
            "calibration_error": np.abs(confidence - there).sum(axis=1) / pairs.sum(axis=1),
        }


def constants(present: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return the best of each score that an answer has which looks at no image.

    It ranks all images alike, so that a class's average precision is how frequent the class is. For
    F1 it gives the same classes to every image: of one class alone giving it is best, of all
    together giving the k most frequent for some k.
    """
    images = len(present)
    have = present.sum(axis=0).astype(np.float64)
    there = have[have > 0]
    best = np.cumsum(np.sort(have)[::-1]) * 2
    given = np.arange(1, len(have) + 1) * images
    _, times = np.unique(present, axis=0, return_counts=True)
    return {
        "mean_ap": float((there / images).mean()) if len(there) else 0.0,
        "micro_f1": float((best / (given + have.sum())).max()),
        "macro_f1": float((2 * there / (images + there)).mean()) if len(there) else 0.0,
        "exact_match": float(times.max() / images),
    }


def _bins(confidence: Doubles, present: npt.NDArray[np.bool_]) -> Doubles:
    images = len(confidence)
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    flat = (np.arange(images)[:, None] * BINS + place).ravel()
    values: tuple[Any, ...] = (None, confidence.ravel(), present.ravel().astype(np.float64))
    each = [np.bincount(flat, value, images * BINS).reshape(images, BINS) for value in values]
    return np.stack(each, axis=1).astype(np.float64)


def _summed(draws: Draws, values: npt.NDArray[Any]) -> Doubles:
    """Return the sums [D, ...] over each sample's images of values [N, ...]."""
    flat = draws.counts.astype(values.dtype, copy=False) @ values.reshape(len(values), -1)
    summed = flat.reshape(len(flat), *values.shape[1:])
    return np.asarray(summed, np.float64)


def _f1(counts: Doubles) -> Doubles:
    """Map counts [D, 3, C] to [D, C]; what neither has nor gives anything is 0."""
    hits, alarms, misses = np.moveaxis(counts, 1, 0)
    under = 2 * hits + alarms + misses
    return np.asarray(np.divide(2 * hits, under, out=np.zeros_like(hits), where=under > 0))


def _mean(values: Doubles) -> Doubles:
    """Return the mean over the classes that there are, 0 where there are none."""
    there = np.isfinite(values)
    return np.asarray(np.where(there, values, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
