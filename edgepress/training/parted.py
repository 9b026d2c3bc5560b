"""Parted: how a worker changes its part of a step's images as one process changes all of them.

Draws are of a whole step, in order. So a worker puts its images where they are among the others,
which are blank unless pictures are mixed, and takes its own again once they are changed.
"""

from __future__ import annotations

from torch import Tensor

from edgepress.tasks.task import MIXTURES
from edgepress.training.changes import Augment, Changes
from edgepress.training.mixing import Sample


def needed(augment: Augment, rows: slice, count: int) -> slice:
    """Return which of a step's `count` images are looked at to change those of `rows`."""
    mixes = isinstance(augment, Changes) and any(getattr(augment, kind) for kind in MIXTURES)
    return slice(0, count) if mixes else rows


def among(sample: Sample, rows: slice, count: int) -> Sample:
    """Return `count` images and truths, of which `rows` are those of the sample."""
    if len(sample.images) == count:
        return sample
    images = _placed(sample.images.permute(0, 2, 3, 1), rows, count).permute(0, 3, 1, 2)
    return Sample(images, {n: _placed(each, rows, count) for n, each in sample.truth.items()})


def own(sample: Sample, rows: slice) -> Sample:
    """Return the images and truths of `rows`."""
    return Sample(sample.images[rows], {name: each[rows] for name, each in sample.truth.items()})


def _placed(values: Tensor, rows: slice, count: int) -> Tensor:
    blank = values.new_zeros((count, *values.shape[1:]))
    blank[rows] = values
    return blank
