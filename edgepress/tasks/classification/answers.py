"""Answers of classification: the class with the highest logit.

Accuracy has Wilson's interval and its drop Tango's paired one; the balanced accuracy's interval is
put together from the classes' own (MOVER, Zou and Donner 2008, https://doi.org/10.1002/sim.3095).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval, Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks.classification.decoding import NO_ANSWER, decoded

Flags = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64] | None
"""How often each item is in each bootstrap sample [draws, N]; None where there are no groups."""


@dataclass(frozen=True)
class Answers:
    """`label` int64 [N] and `confidence` float32 [N], the softmax of the highest logit."""

    classes: tuple[str, ...]
    units: Mapping[str, str] = field(
        default_factory=lambda: {"accuracy": "share", "balanced_accuracy": "share"}
    )
    shares: tuple[str, ...] = ("accuracy",)

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:  # noqa: ARG002
        """Return `logits`, [1, classes]."""
        return (TensorSpec(name="logits", shape=(1, len(self.classes)), layout="NC"),)

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the highest class of logits [n, classes]."""
        return decoded(raw, spec, self.classes, None)

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return accuracy, balanced accuracy and the recall of every class that occurs."""
        labels = truth["label"]
        right = ours["label"] == labels
        weights = None if groups is None else intervals.resamples(len(labels), groups=groups)
        recalls = self._recalls(right, labels, confidence, weights)
        accuracy = Score(
            name="accuracy",
            value=_share(right, confidence, weights),
            drop=None
            if floats is None
            else _drop(right, floats["label"] == labels, confidence, weights),
            constant=float(np.bincount(labels).max() / len(labels)),
            items=len(labels),
        )
        balanced = Score(
            name="balanced_accuracy",
            value=_mean([recall.value for recall in recalls], confidence),
            constant=1 / len(recalls),
            items=len(labels),
        )
        return (accuracy, balanced, *recalls)

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return accuracy."""
        return float((ours["label"] == truth["label"]).mean())

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return 1 where both name one class, else 0; where one has no answer they differ."""
        same = (ours["label"] == floats["label"]) & (ours["label"] != NO_ANSWER)
        return np.asarray(same, np.float64)

    def _recalls(
        self, right: Flags, labels: npt.NDArray[np.int64], confidence: float, weights: Weights
    ) -> list[Score]:
        found = []
        for index in np.unique(labels).tolist():
            mine = labels == index
            value = _share(right[mine], confidence, None if weights is None else weights[:, mine])
            items = int(mine.sum())
            found.append(Score(name="recall", of=self.classes[index], value=value, items=items))
        return found


def answers(classes: tuple[str, ...], *, params: Config) -> Answers:  # noqa: ARG001
    """Return the rules of answers."""
    return Answers(classes)


def _share(right: Flags, confidence: float, weights: Weights) -> Interval:
    found = intervals.share(int(right.sum()), len(right), confidence)
    if weights is None:
        return found
    return intervals.wider(found, _over(weights, right.astype(np.float64)))


def _drop(mine: Flags, theirs: Flags, confidence: float, weights: Weights) -> Interval:
    lost, won = int((theirs & ~mine).sum()), int((mine & ~theirs).sum())
    found = intervals.paired_drop(lost, won, len(mine), confidence)
    if weights is None:
        return found
    return intervals.wider(found, _over(weights, theirs.astype(np.float64) - mine))


def _over(weights: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> intervals.Floats:
    """Return the mean of values [N] in each sample [draws]; NaN where it has none of them."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


def _mean(values: list[Interval], confidence: float) -> Interval:
    mean = sum(each.value for each in values) / len(values)
    below = math.sqrt(sum((each.value - each.low) ** 2 for each in values)) / len(values)
    above = math.sqrt(sum((each.high - each.value) ** 2 for each in values)) / len(values)
    low, high = max(0.0, mean - below), min(1.0, mean + above)
    return Interval(value=mean, low=min(low, mean), high=max(high, mean), confidence=confidence)
