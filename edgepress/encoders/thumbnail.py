"""Thumbnails: a picture's own few pixels, which tell copies apart from all else and learn nothing.

Two vectors' cosine is the correlation of the two thumbnails: 1 for a copy, whatever its size in
pixels, brightness, contrast or JPEG quality, and less for anything cut, turned or drawn over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.params import Config
from edgepress.records.inputs import InputSpec

_BATCH = 1024
"""Thumbnails in memory at once."""

Vectors = npt.NDArray[np.float32]


class Params(Config):
    """How small a thumbnail is."""

    method: Literal["thumbnail"]
    side: int = Field(ge=4, le=64)
    """Pixels of each side; embeddings are side x side x channels wide. 16 is enough for copies."""


@dataclass(frozen=True)
class Thumbnails:
    """Shrinks every image to `spec` and takes each channel's mean off."""

    spec: InputSpec

    def embed(self, images: ImageSet) -> Iterator[Vectors]:
        """Yield the vectors of all images in order, [<= 1024, D] at a time."""
        for batch in images.batches(self.spec, _BATCH):
            yield vectors(batch)


def vectors(batch: npt.NDArray[np.float32]) -> Vectors:
    """Return pictures [n, C, H, W] less their channels' means, [n, C * H * W].

    A picture of one colour has nothing to be told by: it is the vector of ones, the same for all.
    """
    flat = (batch - batch.mean((2, 3), keepdims=True)).reshape(len(batch), -1)
    flat[np.abs(flat).max(axis=1) < 1e-3] = 1.0
    return np.asarray(flat, np.float32)


def fit(request: Request, *, params: Params) -> Thumbnails:
    """Learn nothing."""
    sized = {"height": params.side, "width": params.side, "fit": "stretch"}
    return Thumbnails(request.spec.model_copy(update=sized))
