"""Answers of keypoints: a place and a confidence for each point, and how many are near enough.

PCK with a share of the longer side of the box: Yang and Ramanan 2013,
https://doi.org/10.1109/TPAMI.2012.261. OKS: https://cocodataset.org/#keypoints-eval, with areas and
distances in pixels of the picture, whatever the input's proportions. Intervals, and those of paired
drops, are of bootstrap samples of whole images: the points of one object are no independent
evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks.keypoints.decoding import decoded
from edgepress.tasks.keypoints.labels import Params

Floats = npt.NDArray[np.float64]
_SAME = 0.99
"""Likeness of two answers to one point from which they do not differ in a way that counts."""
_LEAST_WEIGHT = 0.1
"""What a point that nobody is sure of counts in the agreement, beside a sure one's 1."""
_LEAST_SIDE = 1 / 8
"""Of the input's longer side: a pose counts as at least so large, for agreement."""
_FAINT = 0.01
"""Added to confidences before they are compared: two that are nearly nothing are alike."""


@dataclass(frozen=True)
class Answers:
    """`points` float32 [N, K, 2] in pixels of the input, whose size is `frame`; `scores` [N, K]."""

    classes: tuple[str, ...]
    params: Params
    units: Mapping[str, str] = field(
        default_factory=lambda: {"pck": "share", "oks": "share", "mean_error": "share"}
    )
    shares: tuple[str, ...] = ()

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return `heatmaps` [1, K, h, w], or bins `x` [1, K, w] and `y` [1, K, h]; all logits."""
        count, stride = len(self.params.points), self.params.stride
        width, height = (int(np.ceil(side / stride)) for side in (spec.width, spec.height))
        if self.params.form == "heatmap":
            shape = (1, count, height, width)
            return (TensorSpec(name="heatmaps", shape=shape, layout="NCHW"),)
        return (
            TensorSpec(name="x", shape=(1, count, width), layout="NCL"),
            TensorSpec(name="y", shape=(1, count, height), layout="NCL"),
        )

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the answers of n items; one whose outputs are not all finite has none."""
        return decoded(raw, spec, self.classes, self.params)

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return PCK, mean OKS and the mean error of all points, then PCK of every point.

        PCK is the share of labelled points, OKS the mean over images of the mean over their
        labelled points; the error is a point's distance as a share of the longer side of the
        object's box, at most 1, which is also that of no answer. The constant is the mean pose.
        """
        weights = intervals.resamples(len(truth["points"]), groups=groups)
        mine, pose = self._measured(ours, truth), self._measured(_mean_pose(truth), truth)
        theirs = None if floats is None else self._measured(floats, truth)
        found = []
        for name, lower in (("pck", False), ("oks", False), ("mean_error", True)):
            value, drawn = _mean(*mine[name]), _mean(*mine[name], weights)
            drop = None
            if theirs is not None:
                sign = -1 if lower else 1
                fall = sign * (_mean(*theirs[name], weights) - drawn)
                now = sign * (float(_mean(*theirs[name])[0]) - float(value[0]))
                drop = intervals.between(fall, now, confidence)
            found.append(
                Score(
                    name=name,
                    better="lower" if lower else "higher",
                    value=intervals.between(drawn, float(value[0]), confidence),
                    drop=drop,
                    constant=float(_mean(*pose[name])[0]),
                    items=len(truth["points"]),
                )
            )
        return (*found, *self._each(ours, truth, weights, confidence))

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return PCK."""
        return float(_mean(*self._measured(ours, truth)["pck"])[0])

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return for each item how far two answers agree in places and confidences.

        The mean over points of (1 - d / r) * (a + 0.01) / (b + 0.01), weighed by b, at least 0.1: d
        the distance of the two places, r the tolerance of PCK for the pose of `floats` (at least an
        eighth of the input), a and b the lower and the higher confidence. A point that is 0.99
        alike is alike. A truth in the place of an answer has no confidence to differ in.
        """
        mine = ours["scores"].astype(np.float64)
        theirs = floats["scores"].astype(np.float64) if "scores" in floats else mine
        low, high = np.minimum(mine, theirs), np.maximum(mine, theirs)
        weight = np.maximum(high, _LEAST_WEIGHT)
        if "visible" in floats:
            weight = weight * (floats["visible"] > 0)
        far = np.linalg.norm(ours["points"].astype(np.float64) - floats["points"], axis=2)
        near = np.clip(1 - far / self._reach(floats), 0, 1)
        alike = near * (np.maximum(low, 0) + _FAINT) / (np.maximum(high, 0) + _FAINT)
        alike = np.where(alike >= _SAME, 1.0, alike)
        alike = np.where((low < 0) | ~np.isfinite(alike), 0.0, alike)
        return np.asarray((alike * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9))

    def _reach(self, answers: Arrays) -> Floats:
        """Return [N, 1]: pixels of the input within which a point is right for this pose."""
        points = answers["points"].astype(np.float64)
        there = np.isfinite(points)
        if "visible" in answers:
            there = there & (answers["visible"] > 0)[..., None]
        sides = np.where(there, points, -np.inf).max(1) - np.where(there, points, np.inf).min(1)
        least = _LEAST_SIDE * answers["frame"].max(axis=1)
        side = np.maximum(sides.max(axis=1), least)
        return np.asarray(self.params.tolerance * side[:, None], np.float64)

    def _measured(self, answers: Arrays, truth: Arrays) -> dict[str, tuple[Floats, Floats]]:
        """Return for each score its sum over an image and what it is a mean over, [N, 1] each."""
        labelled = (truth["visible"] > 0).astype(np.float64)
        count = labelled.sum(axis=1, keepdims=True)
        far = _distances(answers, truth)
        share = far / truth["size"]
        hits = (share <= self.params.tolerance) * labelled
        variance = (2 * np.array(self.params.sigmas)) ** 2
        likeness = np.exp(-(far**2) / (2 * truth["area"] * variance)) * labelled
        there = (count > 0).astype(np.float64)
        oks = likeness.sum(axis=1, keepdims=True) / np.maximum(count, 1)
        error = (np.minimum(share, 1.0) * labelled).sum(axis=1, keepdims=True)
        return {
            "pck": (hits.sum(axis=1, keepdims=True), count),
            "oks": (oks, there),
            "mean_error": (error, count),
        }

    def _each(
        self, answers: Arrays, truth: Arrays, weights: Floats, confidence: float
    ) -> list[Score]:
        labelled = (truth["visible"] > 0).astype(np.float64)
        share = shares(answers, truth)
        hits = (share <= self.params.tolerance) * labelled
        values, drawn = _mean(hits, labelled), _mean(hits, labelled, weights)
        found = []
        for index, name in enumerate(self.params.points):
            items = int(labelled[:, index].sum())
            if items:
                value = intervals.between(drawn[:, index], float(values[index]), confidence)
                found.append(Score(name="pck", of=name, value=value, items=items))
        return found


def answers(classes: tuple[str, ...], *, params: Params) -> Answers:
    """Return the rules of answers."""
    return Answers(classes, params)


def shares(answers: Arrays, truth: Arrays) -> Floats:
    """Return how far each point is from its truth, [N, K], over the longer side of its box."""
    return np.asarray(_distances(answers, truth) / truth["size"])


def _distances(answers: Arrays, truth: Arrays) -> Floats:
    """Return how far each point is from its truth, [N, K], in pixels of the picture."""
    apart = (answers["points"].astype(np.float64) - truth["points"]) / truth["scale"][:, None]
    far = np.linalg.norm(apart, axis=2)
    return np.where(np.isfinite(far), far, np.inf)


def _mean(total: Floats, count: Floats, weights: Floats | None = None) -> Floats:
    """Return means over images of sums [N, M] and counts [N, M]: [M], or [draws, M] by weights."""
    if weights is None:
        weights = np.ones((1, len(total)))
    with np.errstate(invalid="ignore"):
        found = (weights @ total) / (weights @ count)
    return np.asarray(found[0] if len(weights) == 1 else found)


def _mean_pose(truth: Arrays) -> Arrays:
    """Return the answer that gives every image the mean place of each labelled point."""
    labelled = (truth["visible"] > 0)[..., None]
    count = np.maximum(labelled.sum(axis=0), 1)
    pose = (truth["points"].astype(np.float64) * labelled).sum(axis=0) / count
    return {"points": np.repeat(pose[None], len(truth["points"]), axis=0)}
