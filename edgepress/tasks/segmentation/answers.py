"""Answers of segmentation: the class of every pixel, by the highest logit.

Intersection over union and Dice are taken over all pixels of the test split together; their
intervals, and that of the paired drop, come from 1,000 bootstrap samples of whole images, since the
pixels of one image are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks.segmentation.decoding import NO_ANSWER, decoded
from edgepress.tasks.segmentation.labels import IGNORED, Params

Counts = npt.NDArray[np.float64]
Measure = Callable[[Counts], Counts]


@dataclass(frozen=True)
class Answers:
    """`mask` uint8 [N, H, W]."""

    classes: tuple[str, ...]
    params: Params
    units: Mapping[str, str] = field(
        default_factory=lambda: {"mean_iou": "share", "mean_dice": "share"}
    )
    shares: tuple[str, ...] = ()

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return `logits` [1, classes, H, W], or `mask` [1, H, W] where the graph ends in it."""
        size = (spec.height, spec.width)
        if self.params.argmax:
            return (TensorSpec(name="mask", shape=(1, *size), dtype="int32", layout="NHW"),)
        return (TensorSpec(name="logits", shape=(1, len(self.classes), *size), layout="NCHW"),)

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the class of every pixel of n items."""
        return decoded(raw, spec, self.classes, self.params)

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return mean IoU and mean Dice, then both of every class that occurs."""
        masks = truth["mask"]
        mine = self._counts(ours["mask"], masks)
        theirs = None if floats is None else self._counts(floats["mask"], masks)
        weights = intervals.resamples(len(masks), groups=groups)
        sums = (weights @ mine.reshape(len(mine), -1)).reshape(len(weights), *mine.shape[1:])
        rivals = None
        if theirs is not None:
            rivals = (weights @ theirs.reshape(len(theirs), -1)).reshape(sums.shape)
        whole = []
        for name, measure in (("mean_iou", _iou), ("mean_dice", _dice)):
            value = float(_mean(measure(mine.sum(axis=0))))
            drop = None
            if theirs is not None and rivals is not None:
                fall = _mean(measure(rivals)) - _mean(measure(sums))
                now = float(_mean(measure(theirs.sum(axis=0)))) - value
                drop = intervals.between(fall, now, confidence)
            whole.append(
                Score(
                    name=name,
                    value=intervals.between(_mean(measure(sums)), value, confidence),
                    drop=drop,
                    constant=self._constant(measure, masks),
                    items=len(masks),
                )
            )
        return (*whole, *self._classes(mine, sums, confidence))

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return mean IoU."""
        return float(_mean(_iou(self._counts(ours["mask"], truth["mask"]).sum(axis=0))))

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return the share of each item's pixels that have one class in both."""
        same = (ours["mask"] == floats["mask"]) & (ours["mask"] != NO_ANSWER)
        judged = floats["mask"] != IGNORED
        counted = judged.sum(axis=(1, 2))
        found = (same & judged).sum(axis=(1, 2)) / np.maximum(counted, 1)
        return np.asarray(np.where(counted > 0, found, 1.0), np.float64)

    def _counts(self, answers: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> Counts:
        """Return hits, false alarms and misses in pixels, [N, 3, classes]."""
        count = len(self.classes)
        found = np.zeros((len(truth), 3, count))
        for row, (mine, real) in enumerate(zip(answers, truth, strict=True)):
            judged = real != IGNORED
            pairs = np.bincount(
                mine[judged].astype(np.int64) * 256 + real[judged], minlength=256 * 256
            ).reshape(256, 256)
            hits = np.diagonal(pairs)[:count]
            found[row, 0] = hits
            found[row, 1] = pairs[:count].sum(axis=1) - hits
            found[row, 2] = pairs[:, :count].sum(axis=0) - hits
        return found

    def _classes(self, counts: Counts, sums: Counts, confidence: float) -> list[Score]:
        total = counts.sum(axis=0)
        found = []
        for index, name in enumerate(self.classes):
            items = int(((counts[:, 0, index] + counts[:, 2, index]) > 0).sum())
            for title, measure in (("iou", _iou), ("dice", _dice)) if items else ():
                value = float(measure(total)[index])
                interval = intervals.between(measure(sums)[:, index], value, confidence)
                found.append(Score(name=title, of=name, value=interval, items=items))
        return found

    def _constant(self, measure: Measure, truth: npt.NDArray[np.uint8]) -> float:
        """Return the best score of an answer that gives one class to every pixel."""
        pixels = np.bincount(truth.ravel(), minlength=256)[: len(self.classes)].astype(np.float64)
        best = 0.0
        for index in range(len(self.classes)):
            counts = np.zeros((3, len(self.classes)))
            counts[0, index] = pixels[index]
            counts[1, index] = pixels.sum() - pixels[index]
            counts[2] = np.where(np.arange(len(pixels)) == index, 0.0, pixels)
            best = max(best, float(_mean(measure(counts))))
        return best


def answers(classes: tuple[str, ...], *, params: Params) -> Answers:
    """Return the rules of answers."""
    return Answers(classes, params)


def _iou(counts: Counts) -> Counts:
    """Map counts [..., 3, C] to [..., C]; a class that neither has is NaN."""
    hits, alarms, misses = (counts[..., index, :] for index in range(3))
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / (hits + alarms + misses))


def _dice(counts: Counts) -> Counts:
    """Map counts [..., 3, C] to [..., C]; a class that neither has is NaN."""
    hits, alarms, misses = (counts[..., index, :] for index in range(3))
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits / (2 * hits + alarms + misses))


def _mean(values: Counts) -> Counts:
    """Return the mean over the classes that there are."""
    there = np.isfinite(values)
    return np.asarray(np.where(there, values, 0.0).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1))
