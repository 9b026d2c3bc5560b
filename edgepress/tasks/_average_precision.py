"""Average precision as COCO has it, over all images and over bootstrap samples of them.

Precision is read at 101 recalls, each time the best at that recall or a higher one; rules as in
`_matching.py`. Matching is of one image alone, so a sample of images needs none of its own: an
answer counts as often as its image was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgepress.records.tensors import Arrays
from edgepress.tasks._matching import (
    HIT,
    LEFT_OUT,
    OVERLAPS,
    Flags,
    Floats,
    Ints,
    Listed,
    Objects,
    Overlap,
    Pairs,
    outcomes,
)

Counts = npt.NDArray[np.int32]
"""Whole numbers add up faster than others, and exactly."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read."""
_CELLS = 1 << 20
"""Draws times answers that are held at once: 4 MB an array."""


@dataclass(frozen=True)
class Matched:
    """Answers of N images, held against their objects."""

    listed: Listed
    objects: Objects
    pairs: Pairs
    images: int
    classes: int
    size: str = "all"
    """Name of a range of sizes: an object outside it is not judged, nor an answer without one."""

    def within(self, size: str) -> Matched:
        """Return the same, judged within a range of sizes: all, small, medium or large."""
        return replace(self, size=size)

    @cached_property
    def judged(self) -> Floats:
        """Objects to be found, [N, classes]."""
        found = np.zeros((self.images, self.classes))
        these = self.objects.judged(self.size)
        np.add.at(found, (self.objects.image[these], self.objects.category[these]), 1)
        return found

    @cached_property
    def items(self) -> Ints:
        """Images with a judged object of the class or an answer of it, int64 [classes].

        0 where no image has a judged object: such a class has no precision.
        """
        there = self.judged > 0
        either = there.copy()
        either[self.listed.image, self.listed.category] = True
        return np.where(there.any(axis=0), either.sum(axis=0), 0).astype(np.int64)

    def precision(self, weights: Floats) -> Floats:
        """Return average precision [draws, 10, classes] at each of `OVERLAPS`.

        `weights` [draws, N] says how often each image is drawn. A draw's precision is that of the
        data set with images so often one after another; scores that tie stand in every draw as
        they do in the whole set. NaN where a draw has no judged object of the class.
        """
        counts = weights.astype(np.int32)
        if (counts != weights).any():
            raise ValueError("weights say how often an image is drawn: expected whole numbers")
        found = np.full((len(weights), len(OVERLAPS), self.classes), np.nan)
        judged = weights @ self.judged
        for index in np.flatnonzero(self.judged.any(axis=0)).tolist():
            curves = self._curves(index)
            step = max(1, _CELLS // max(1, len(curves.image)))
            for start in range(0, len(weights), step):
                rows = slice(start, start + step)
                found[rows, :, index] = curves.precision(counts[rows], judged[rows, index])
        return found

    @cached_property
    def outcome(self) -> npt.NDArray[np.int8]:
        """What becomes of each answer at each of `OVERLAPS`, [A, 10]."""
        return outcomes(self.listed, self.objects, self.pairs, self.size)

    def _curves(self, index: int) -> _Curves:
        """Return one class's answers by falling score, less those that no draw's precision sees."""
        these = np.flatnonzero(self.listed.category == index)
        these = these[np.argsort(-self.listed.score[these], kind="stable")]
        these = these[(self.outcome[these] != LEFT_OUT).any(axis=1)]
        hits = np.flatnonzero((self.outcome[these] == HIT).any(axis=1))
        these = these[: hits[-1] + 1] if len(hits) else these[:0]
        return _Curves(self.listed.image[these], self.outcome[these])


@dataclass(frozen=True)
class _Curves:
    """A answers of one class by falling score: their images [A] and outcomes [A, 10]."""

    image: Ints
    outcome: npt.NDArray[np.int8]

    def precision(self, counts: Counts, judged: Floats) -> Floats:
        """Return average precision [draws, 10] for counts [draws, N] and objects [draws]."""
        found = np.zeros((len(counts), len(OVERLAPS)))
        every = _sums(counts, self.image)
        for at, outcome in enumerate(self.outcome.T):
            hits, out = np.flatnonzero(outcome == HIT), np.flatnonzero(outcome == LEFT_OUT)
            told = every[:, hits]
            before = np.searchsorted(out, hits)
            if before.any():
                gone = _sums(counts, self.image[out])
                told[:, before > 0] -= gone[:, before[before > 0] - 1]
            right = _sums(counts, self.image[hits])
            found[:, at] = _averages(right, told, np.where(judged > 0, judged, 1.0))
        return np.where(judged[:, None] > 0, found, np.nan)


def match(ours: Arrays, truth: Arrays, classes: int, overlap: Overlap, limit: int = 100) -> Matched:
    """Hold answers against objects by COCO's rules.

    `ours`: `boxes` [N, K, 4] in input pixels, `scores` and `category` [N, K], below 0 where there
    is no answer. `truth`: arrays [N, M, ...], among them `category` (below 0 where there is no
    object), `crowd` and `ignore` bool, `area` in pixels of the picture; and `scale` [N, 2], input
    pixels for one of the picture. `overlap` gets what both have of one image; `limit` is of
    answers, the surest of each image and class.
    """
    listed = Listed.of(ours, truth["scale"], limit)
    objects = Objects.of(truth)
    pairs = Pairs.of((ours, truth), listed, objects, overlap)
    return Matched(listed, objects, pairs, len(truth["category"]), classes)


def mean(values: Floats, axis: int | None = None, nothing: float = 0.0) -> Floats:
    """Return the mean over what is not NaN, `nothing` where all is."""
    there: Flags = ~np.isnan(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), nothing))


def _sums(counts: Counts, image: Ints) -> Counts:
    """Return how many answers there are up to each of `image` [A], [draws, A]."""
    return np.asarray(np.cumsum(counts[:, image], axis=1, dtype=np.int32))


def _averages(right: Counts, told: Counts, judged: Floats) -> Floats:
    """Return the mean precision at `RECALLS`, [draws].

    Per draw at each of its hits: `right` [draws, hits] hits so far, `told` [draws, hits] answers
    so far that count; objects to be found `judged` [draws].
    """
    precision = right / np.maximum(told, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, right / judged[:, None], side="right")
    return np.asarray((best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS))
