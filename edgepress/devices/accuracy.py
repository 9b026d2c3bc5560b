"""Accuracy of an export on the full test split, and what it lost against the float Bundle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.devices import intervals
from edgepress.records.measurement import Accuracy, Interval

Logits = npt.NDArray[np.float32]


def accuracy(
    logits: Logits, reference: Logits, labels: npt.NDArray[np.int64], confidence: float
) -> Accuracy:
    """Return top-1 and its paired drop in points; logits [N, classes], NaN is wrong."""
    images = len(labels)
    ours, theirs = _right(logits, labels), _right(reference, labels)
    lost, won = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    drop = intervals.paired_drop(lost, won, images, confidence)
    return Accuracy(
        top1=intervals.share(int(ours.sum()), images, confidence),
        drop_points=Interval(
            value=100 * drop.value,
            low=100 * drop.low,
            high=100 * drop.high,
            confidence=confidence,
        ),
        images=images,
    )


def _right(logits: Logits, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    finite = np.isfinite(logits).all(axis=1)
    right: npt.NDArray[np.bool_] = np.nan_to_num(logits).argmax(axis=1) == labels
    return finite & right
