"""No embeddings: every image has the same vector, for curation that looks at none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.params import Config

TELLS = False
"""Its vectors tell no image from another."""
_BATCH = 8192


class Params(Config):
    """Nothing to set."""

    method: Literal["none"]


class Nothing:
    """Opens no image."""

    def embed(self, images: ImageSet) -> Iterator[npt.NDArray[np.float32]]:
        """Yield a vector of one number, 1, for each image."""
        for start in range(0, len(images), _BATCH):
            yield np.ones((min(_BATCH, len(images) - start), 1), np.float32)


def fit(request: Request, *, params: Params) -> Nothing:  # noqa: ARG001
    """Learn nothing."""
    return Nothing()
