"""Answers of detection: the surest boxes of each class, none over another of its class.

The network gives boxes and scores apart, so that they never share a scale of INT8; decoding and
non-maximum suppression are outside of the graph. Precision is COCO's, its intervals and that of
the paired drop from bootstrap samples of whole images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks._average_precision import Matched, match, mean
from edgepress.tasks.detection import boxes, calibration
from edgepress.tasks.detection.calibration import Calibration
from edgepress.tasks.detection.decoding import NO_ANSWER, decoded, opened
from edgepress.tasks.detection.labels import Params

SIZES = ("small", "medium", "large")
"""COCO's ranges of areas in pixels of the picture: below 32^2, to 96^2, above."""
_WHOLE = 0.999
"""Likeness of two boxes from which rounding alone tells them apart."""
_SAME = 0.5
"""Overlap from which two boxes are of one object, for agreement."""


@dataclass(frozen=True)
class Answers:
    """`boxes` float32 [N, K, 4] in input pixels, `scores` float32 and `category` int32 [N, K]."""

    classes: tuple[str, ...]
    params: Params
    units: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(
            ("mean_ap", "mean_ap_50", *(f"mean_ap_{size}" for size in SIZES), calibration.NAME),
            "share",
        )
    )
    shares: tuple[str, ...] = ()

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return boxes and scores as the coding has them."""
        return opened(self.params, len(self.classes)).outputs(spec)

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the answers of n items; places of the K without a box have category -1."""
        return decoded(raw, spec, self.classes, self.params)

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return mean AP over overlaps of 0.5 to 0.95 and at 0.5, by size, and of every class.

        And how far the confidences of sure boxes are from how often they hit.
        """
        mine = match(ours, truth, len(self.classes), box_overlap)
        theirs = None if floats is None else match(floats, truth, len(self.classes), box_overlap)
        items = len(truth["category"])
        whole = np.ones((1, items))
        weights = intervals.resamples(items, groups=groups)
        now, drawn = mine.precision(whole)[0], mine.precision(weights)
        before = rivals = None
        if theirs is not None:
            before, rivals = theirs.precision(whole)[0], theirs.precision(weights)
        found = []
        for name, picked in (("mean_ap", slice(None)), ("mean_ap_50", slice(1))):
            value = float(mean(now[picked]))
            drop = None
            if before is not None and rivals is not None:
                fall = _means(rivals[:, picked]) - _means(drawn[:, picked])
                drop = intervals.between(fall, float(mean(before[picked])) - value, confidence)
            interval = intervals.between(_means(drawn[:, picked]), value, confidence)
            found.append(Score(name=name, value=interval, drop=drop, items=items))
        sizes = _sizes(mine, weights, confidence)
        sure = Calibration.of(mine, self.params.sure)
        others = None if theirs is None else Calibration.of(theirs, self.params.sure)
        calibrated = calibration.scored(sure, others, weights, confidence)
        return (*found, *sizes, calibrated, *self._classes(mine, now, drawn, confidence))

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return mean AP."""
        mine = match(ours, truth, len(self.classes), box_overlap)
        return float(mean(mine.precision(np.ones((1, mine.images)))))

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return for each item what share of its sure boxes both have, alike in place and score.

        Two boxes of a class that overlap count by their overlap times the lower over the higher
        confidence; a box that only one has counts nothing.
        """
        return np.array([self._alike(ours, floats, row) for row in range(len(ours["category"]))])

    def _classes(
        self,
        mine: Matched,
        now: npt.NDArray[np.float64],
        drawn: npt.NDArray[np.float64],
        confidence: float,
    ) -> list[Score]:
        found = []
        for index, name in enumerate(self.classes):
            items = int(mine.items[index])
            if items:
                value = float(mean(now[:, index]))
                draws = mean(drawn[:, :, index], axis=1, nothing=np.nan)
                interval = intervals.between(draws, value, confidence)
                found.append(Score(name="ap", of=name, value=interval, items=items))
        return found

    def _alike(self, ours: Arrays, floats: Arrays, row: int) -> float:
        if NO_ANSWER in (ours["category"][row, 0], floats["category"][row, 0]):
            return 0.0
        # One that is just below the line for one answer and above it for the other has not gone.
        a, b = self._shown(ours, row, self.params.sure), self._shown(floats, row, self.params.sure)
        wide_a, wide_b = (self._shown(each, row, 0.0) for each in (ours, floats))
        forth, count_a = _held(a, wide_b)
        back, count_b = _held(b, wide_a)
        return (forth + back) / (count_a + count_b) if count_a + count_b else 1.0

    def _shown(self, answers: Arrays, row: int, least: float) -> Arrays:
        """Return the boxes of one item from a confidence on; those of a truth are certain."""
        category = answers["category"][row]
        scores = answers["scores"][row] if "scores" in answers else np.ones(len(category))
        there = (category >= 0) & (scores >= least)
        if "crowd" in answers:
            there &= ~(answers["crowd"][row] | answers["ignore"][row])
        boxes_there = answers["boxes"][row][there]
        return {"boxes": boxes_there, "scores": scores[there], "category": category[there]}


def answers(classes: tuple[str, ...], *, params: Params) -> Answers:
    """Return the rules of answers."""
    return Answers(classes, params)


def _held(sure: Arrays, other: Arrays) -> tuple[float, int]:
    """Return how much of the sure boxes another answer has, each of its boxes used once."""
    near = boxes.overlaps(sure["boxes"], other["boxes"]).astype(np.float64)
    near[sure["category"][:, None] != other["category"][None]] = 0.0
    total = 0.0
    for rank in range(len(near) if near.size else 0):
        best = int(near[rank].argmax())
        overlap = float(near[rank, best])
        if overlap < _SAME:
            continue
        pair = (float(sure["scores"][rank]), float(other["scores"][best]))
        alike = overlap * min(pair) / max(pair)
        total += 1.0 if alike >= _WHOLE else alike
        near[:, best] = 0.0
    return total, len(near)


def box_overlap(ours: Arrays, truth: Arrays) -> npt.NDArray[np.float64]:
    """Return how far K answers overlap M objects of one image, [K, M], crowds by COCO's rule."""
    mine, real = ours["boxes"].astype(np.float64), truth["boxes"].astype(np.float64)
    return boxes.with_crowds(mine, real, truth["crowd"])


def _sizes(mine: Matched, weights: npt.NDArray[np.float64], confidence: float) -> Iterator[Score]:
    """Yield mean AP over objects of each of COCO's sizes that the truth has."""
    for size in SIZES:
        part = mine.within(size)
        items = int(part.judged.any(axis=1).sum())
        if items:
            value = float(mean(part.precision(np.ones((1, len(part.judged))))))
            interval = intervals.between(_means(part.precision(weights)), value, confidence)
            yield Score(name=f"mean_ap_{size}", value=interval, items=items)


def _means(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return for each draw the mean over what there is of [draws, overlaps, classes]; else NaN."""
    return mean(precision.reshape(len(precision), -1), axis=1, nothing=np.nan)
