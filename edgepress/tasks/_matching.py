"""COCO's matching: which answers are hits of which objects, image by image and class by class.

Rules: Lin et al. 2014, https://arxiv.org/abs/1405.0312, and https://cocodataset.org/#detection-eval.
The surest answer chooses first, the judged object that it overlaps most; objects that are not
judged (ignored, crowds, outside of the range of sizes) are taken only where no judged one is left,
and an answer that takes one is neither a hit nor a false alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepress.records.tensors import Arrays

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Overlap = Callable[[Arrays, Arrays], Floats]
"""K answers and M objects of one image (arrays [K, ...], [M, ...]) -> overlap of each pair [K, M].

A crowd's overlap is what share of the answer lies in it."""

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which an answer may be a hit."""
RANGES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Sizes -> least and largest area in pixels of the picture, both within."""
FALSE_ALARM, HIT, LEFT_OUT = 0, 1, 2
"""What becomes of an answer at one overlap."""


@dataclass(frozen=True)
class Objects:
    """O objects of all images; each array [O]."""

    image: Ints
    place: Ints
    category: Ints
    area: Floats
    crowd: Flags
    ignore: Flags

    @classmethod
    def of(cls, truth: Arrays) -> Objects:
        """Return the places of `truth` that hold an object."""
        image, place = np.nonzero(truth["category"] >= 0)
        at = (image, place)
        return cls(
            image,
            place,
            truth["category"][at].astype(np.int64),
            truth["area"][at].astype(np.float64),
            truth["crowd"][at],
            truth["ignore"][at],
        )

    def judged(self, size: str) -> Flags:
        """Return [O]: the object is to be found."""
        return ~(self.crowd | self.ignore | _outside(self.area, size))


@dataclass(frozen=True)
class Listed:
    """A answers of all images by image, class and falling score; each array [A]."""

    image: Ints
    place: Ints
    category: Ints
    score: npt.NDArray[np.float32]
    area: Floats
    rank: Ints
    """Answers of the same image and class that stand before it."""

    @classmethod
    def of(cls, ours: Arrays, scale: npt.NDArray[np.float32], limit: int) -> Listed:
        """Return the surest answers, at most `limit` of an image and class."""
        image, place = np.nonzero(ours["category"] >= 0)
        category = ours["category"][image, place].astype(np.int64)
        order = np.lexsort((-ours["scores"][image, place], category, image))
        image, place, category = image[order], place[order], category[order]
        fresh = np.ones(len(order), bool)
        fresh[1:] = (image[1:] != image[:-1]) | (category[1:] != category[:-1])
        starts = np.flatnonzero(fresh)
        rank = np.arange(len(order)) - starts[np.cumsum(fresh) - 1]
        stay = rank < limit
        at = (image[stay], place[stay])
        corners = ours["boxes"][at].astype(np.float64)
        area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
        shrunk = scale[at[0]].astype(np.float64).prod(axis=1)
        return cls(*at, category[stay], ours["scores"][at], area / shrunk, rank[stay])


@dataclass(frozen=True)
class Pairs:
    """P pairs of an answer and an object of its image and class that overlap; each array [P]."""

    answer: Ints
    object: Ints
    overlap: Floats

    @classmethod
    def of(
        cls, sides: tuple[Arrays, Arrays], listed: Listed, objects: Objects, overlap: Overlap
    ) -> Pairs:
        """Return the pairs that overlap enough for one of `OVERLAPS`."""
        ours, truth = sides
        truth = {name: values for name, values in truth.items() if name != "scale"}
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        images = np.arange(len(truth["category"]) + 1)
        first, start = np.searchsorted(listed.image, images), np.searchsorted(objects.image, images)
        for image in np.flatnonzero((np.diff(first) > 0) & (np.diff(start) > 0)):
            mine, real = slice(*first[image : image + 2]), slice(*start[image : image + 2])
            near = overlap(
                {name: values[image, listed.place[mine]] for name, values in ours.items()},
                {name: values[image, objects.place[real]] for name, values in truth.items()},
            )
            alike = listed.category[mine, None] == objects.category[None, real]
            row, column = np.nonzero(alike & (near >= OVERLAPS[0]))
            found.append((row + mine.start, column + real.start, near[row, column]))
        answer, thing, value = (np.concatenate(column) for column in zip(*found, strict=True))
        return cls(answer, thing, value)


def outcomes(listed: Listed, objects: Objects, pairs: Pairs, size: str) -> npt.NDArray[np.int8]:
    """Return what becomes of each answer at each of `OVERLAPS`, [A, 10]."""
    judged = objects.judged(size)
    rank = listed.rank[pairs.answer]
    # Within an answer the pair it likes best is the last; of two that are alike, COCO's is.
    liked = (pairs.object, pairs.overlap, judged[pairs.object], pairs.answer, rank)
    order = np.lexsort(liked)
    answer, thing = pairs.answer[order], pairs.object[order]
    enough = pairs.overlap[order, None] >= OVERLAPS
    found = np.full((len(listed.image), len(OVERLAPS)), FALSE_ALARM, np.int8)
    taken = np.zeros((len(objects.image), len(OVERLAPS)), bool)
    # Answers of one rank are of different images or classes: none takes another's object.
    steps = np.flatnonzero(np.diff(rank[order], prepend=-1, append=-1))
    for begin, end in zip(steps[:-1], steps[1:], strict=True):
        these = thing[begin:end]
        free = enough[begin:end] & (~taken[these] | objects.crowd[these, None])
        starts = np.flatnonzero(np.diff(answer[begin:end], prepend=-1))
        place = np.where(free, np.arange(begin, end)[:, None], -1)
        best = np.maximum.reduceat(place, starts, axis=0)
        row, at = np.nonzero(best >= 0)
        pair = best[row, at]
        taken[thing[pair], at] = True
        found[answer[pair], at] = np.where(judged[thing[pair]], HIT, LEFT_OUT)
    stray = (found == FALSE_ALARM) & _outside(listed.area, size)[:, None]
    found[stray] = LEFT_OUT
    return found


def _outside(area: Floats, size: str) -> Flags:
    low, high = RANGES[size]
    return (area < low) | (area > high)
