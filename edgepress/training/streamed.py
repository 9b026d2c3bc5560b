"""Streamed: images that are read and decoded anew in every epoch, a few batches ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from edgepress.data.images import ImageSet
from edgepress.data.labels import LabelRules
from edgepress.data.parallel import ordered
from edgepress.data.row_groups import Stored
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.training.examples import Batch, Rows, batch

AHEAD = 256
"""Images that are read before they are due, by threads: Pillow decodes outside Python's lock."""


@dataclass(frozen=True)
class Streamed:
    """The images of a set with their truths; what is held is a few batches, whatever its size."""

    images: ImageSet
    labels: LabelRules
    spec: InputSpec
    key: str
    """A hash of what they are made from."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @cached_property
    def truth(self) -> Arrays:
        """All truths; kept once they were asked for."""
        return self.images.truth(self.labels, self.spec)

    @cached_property
    def stored(self) -> Stored | None:
        """Which images lie in one row group; None where all orders are alike."""
        return self.images.stored()

    def batches(self, rows: Iterable[Rows]) -> Iterator[Batch]:
        """Yield the images of these rows in this order, whatever the number of threads."""
        sizes: list[int] = []

        def asked() -> Iterator[int]:
            for some in rows:
                sizes.append(len(some))
                yield from some.tolist()

        read = ordered(lambda row: self.images.item(row, self.labels, self.spec), asked(), AHEAD)
        try:
            while part := list(islice(read, 1)):
                part += islice(read, sizes.pop(0) - 1)
                pixels, truths = zip(*part, strict=True)
                truth = {
                    name: np.concatenate([each[name] for each in truths]) for name in truths[0]
                }
                yield batch(np.stack(pixels), truth)
        finally:
            read.close()  # type: ignore[attr-defined]

    def digest(self) -> str:
        """Return `key`."""
        return self.key
