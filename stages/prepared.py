"""Test items as networks take them: batches of whole pictures, or one picture's parts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.data.preprocess import normalise
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors
from edgepress.tasks.parts import Parted
from edgepress.tasks.task import Task

BATCH = 64


def prepared(images: ImageSet, task: Task, spec: InputSpec) -> Iterator[Tensors | Parted]:
    """Yield all items in order, as `spec` prepares them, name -> [n, ...] or each in its parts.

    The parts whose raw outputs are compared are each another, so that no corner stands for all.
    """
    (image,) = spec.tensors
    rules = task.parts
    if rules is None:
        yield from ({image.name: batch} for batch in images.batches(spec, BATCH))
        return
    for index, size in enumerate(images.sizes):
        windows = rules.windows(size, spec)
        merged = partial(rules.merged, size=size, spec=spec)
        parts = images.cut(index, windows, spec)
        yield Parted(_batches(parts, spec), merged, kept=index % len(windows))


def _batches(parts: Iterator[npt.NDArray[np.uint8]], spec: InputSpec) -> Iterator[Tensors]:
    """Yield the parts of a picture, a few at a time."""
    (image,) = spec.tensors
    while some := list(islice(parts, BATCH)):
        yield {image.name: normalise(np.stack(some), spec)}
