"""Test items as networks take them: batches of whole pictures, or one picture's parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.data.picture import open_picture
from edgepress.data.preprocess import fitted, normalise
from edgepress.data.window import Window
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
    for index in range(len(images)):
        picture = open_picture(images.encoded(index)).image
        windows = rules.windows(picture.size, spec)
        merged = partial(rules.merged, size=picture.size, spec=spec)
        yield Parted(_cut(picture, windows, spec), merged, kept=index % len(windows))


def _cut(picture: Image.Image, windows: Sequence[Window], spec: InputSpec) -> Iterator[Tensors]:
    """Yield the parts of a picture, a few at a time."""
    (image,) = spec.tensors
    for start in range(0, len(windows), BATCH):
        pixels = [fitted(each.of(picture), spec) for each in windows[start : start + BATCH]]
        yield {image.name: normalise(np.stack(pixels), spec)}
