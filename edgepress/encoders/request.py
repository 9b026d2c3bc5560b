"""What an encoder is given besides its parameters, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Request:
    """Images to learn from, how the pipeline's models see them, a seed, where to checkpoint."""

    images: ImageSet
    spec: InputSpec
    seed: int
    checkpoint: Checkpoint | None = None


class Encoder(Protocol):
    """An encoder ready to use."""

    def embed(self, images: ImageSet) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the vectors of all images in order, [B, D] at a time."""
        ...
