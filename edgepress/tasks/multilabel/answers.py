"""Answers of multi-label: a confidence for each class, and which of them are given.

Average precision ranks images by confidence, class by class; F1 and exact match are at the
threshold. Intervals, and those of paired drops, come from 1,000 bootstrap samples of whole images,
those of exact match, a share of images, from Wilson and Tango.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgepress import intervals
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval, Score
from edgepress.records.tensors import Arrays, Groups, Tensors, TensorSpec
from edgepress.tasks.multilabel.decoding import NO_ANSWER, decoded
from edgepress.tasks.multilabel.labels import Params
from edgepress.tasks.multilabel.measures import Measures, constants
from edgepress.tasks.multilabel.ranking import Doubles, Draws

_LOWER = ("calibration_error",)
_PARTS, _DRAWS = 10, 100
_SAME = 1e-4
"""Share of a confidence, and of what it lacks of 1, up to which two are one: runtimes round."""
_STEP = 2.4e-7
"""Two steps of float32, next to 1."""


@dataclass(frozen=True)
class Answers:
    """`scores` float32 [N, C] and `present` uint8 [N, C], 255 where there is no answer."""

    classes: tuple[str, ...]
    params: Params
    units: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(
            ("mean_ap", "micro_f1", "macro_f1", "exact_match", "calibration_error"), "share"
        )
    )
    shares: tuple[str, ...] = ()

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:  # noqa: ARG002
        """Return `logits`, [1, classes]."""
        return (TensorSpec(name="logits", shape=(1, len(self.classes)), layout="NC"),)

    def decode(self, raw: Tensors, spec: InputSpec) -> Arrays:
        """Return the sigmoid of logits [n, classes] and where it reaches the threshold."""
        return decoded(raw, spec, self.classes, self.params)

    def score(
        self,
        ours: Arrays,
        floats: Arrays | None,
        truth: Arrays,
        confidence: float,
        groups: Groups = None,
    ) -> tuple[Score, ...]:
        """Return the scores of `units` in that order, then `ap` and `f1` of every class there is.

        A class's items are the images that have it. Calibration error is the better the lower; a
        bootstrap sample is calibrated worse than the whole, so that its interval errs upwards.
        """
        present = truth["present"] == 1
        sets = (ours,) if floats is None else (ours, floats)
        mine, *others = _sampled([Measures.of(each, present) for each in sets], groups)
        constant = constants(present)
        whole = [
            Score(
                name=name,
                better="lower" if name in _LOWER else "higher",
                value=mine.value(name, confidence),
                drop=mine.drop(others[0], name, confidence) if others else None,
                constant=constant.get(name),
                items=len(present),
            )
            for name in self.units
        ]
        for index, items in enumerate(present.sum(axis=0).tolist()):
            for name in ("ap", "f1") if items else ():
                value = mine.value(name, confidence, index)
                whole.append(Score(name=name, of=self.classes[index], value=value, items=items))
        return tuple(whole)

    def first_score(self, ours: Arrays, truth: Arrays) -> float:
        """Return mean AP."""
        present = truth["present"] == 1
        whole = Draws.of(np.ones((1, len(present))))
        return float(Measures.of(ours, present).taken(whole)["mean_ap"][0])

    def agreement(self, ours: Arrays, floats: Arrays) -> npt.NDArray[np.float64]:
        """Return for each image how far given classes and confidences agree, multiplied.

        Given classes: how many both give over how many one gives, 1 where neither gives any.
        Confidences a and b: 1 - sum |a - b| / max(1, sum max(a, b)), over all classes, so that
        traces of confidence do not count against an image that has nothing. Where no class differs
        and no confidence by more than runtimes round, it is 1. A truth is wholly sure: held against
        it, confidences agree as far as the worst of them, so that no right answer of many small
        traces comes behind a wrong one.
        """
        given_a, given_b = ours["present"] == 1, floats["present"] == 1
        either = (given_a | given_b).sum(axis=1)
        both = (given_a & given_b).sum(axis=1)
        a, b = _confidence(ours), _confidence(floats)
        high = np.maximum(a, b)
        apart = np.abs(a - b)
        apart[apart <= _SAME * np.minimum(high, 1 - high) + _STEP * high] = 0.0
        sure = "scores" in ours and "scores" in floats
        far = apart.sum(axis=1) / np.maximum(1.0, high.sum(axis=1)) if sure else apart.max(axis=1)
        found = np.where(either > 0, both / np.maximum(either, 1), 1.0) * (1.0 - far)
        none = (ours["present"] == NO_ANSWER) | (floats["present"] == NO_ANSWER)
        return np.asarray(np.where(none.any(axis=1), 0.0, found), np.float64)


def answers(classes: tuple[str, ...], *, params: Params) -> Answers:
    """Return the rules of answers."""
    return Answers(classes, params)


def _confidence(answers: Arrays) -> Doubles:
    return np.asarray(answers["scores" if "scores" in answers else "present"], np.float64)


@dataclass(frozen=True)
class _Sampled:
    """One set of answers: its measures of all images, and of bootstrap samples of them."""

    exact: npt.NDArray[np.bool_]
    now: Mapping[str, Doubles]
    drawn: Mapping[str, Doubles]
    grouped: bool

    def value(self, name: str, confidence: float, of: int | None = None) -> Interval:
        """Return a measure of the whole, or of one class."""
        if name == "exact_match":
            exact = intervals.share(int(self.exact.sum()), len(self.exact), confidence)
            return intervals.wider(exact, self.drawn[name]) if self.grouped else exact
        now, drawn = self.now[name][0], self.drawn[name]
        if of is not None:
            now, drawn = now[of], drawn[:, of]
        return intervals.between(drawn, float(now), confidence)

    def drop(self, floats: _Sampled, name: str, confidence: float) -> Interval:
        """Return how much worse a measure of the whole is than that of `floats`."""
        if name == "exact_match":
            lost = int((floats.exact & ~self.exact).sum())
            won = int((self.exact & ~floats.exact).sum())
            drop = intervals.paired_drop(lost, won, len(self.exact), confidence)
            fall = floats.drawn[name] - self.drawn[name]
            return intervals.wider(drop, fall) if self.grouped else drop
        sign = -1.0 if name in _LOWER else 1.0
        now = sign * float(floats.now[name][0] - self.now[name][0])
        fall = sign * (floats.drawn[name] - self.drawn[name])
        return intervals.between(fall, now, confidence)


def _sampled(sets: list[Measures], groups: Groups) -> list[_Sampled]:
    """Measure sets of answers to the same images in the same 1,000 samples of them.

    Part by part, since 1,000 samples of many images are large.
    """
    items = len(sets[0].exact)
    parts: list[list[dict[str, Doubles]]] = [[] for _ in sets]
    for seed in range(_PARTS):
        draws = Draws.of(intervals.resamples(items, _DRAWS, seed, groups))
        for measures, mine in zip(sets, parts, strict=True):
            mine.append(measures.taken(draws))
    whole = Draws.of(np.ones((1, items)))
    return [
        _Sampled(
            measures.exact,
            measures.taken(whole),
            {name: np.concatenate([part[name] for part in mine]) for name in mine[0]},
            groups is not None,
        )
        for measures, mine in zip(sets, parts, strict=True)
    ]
