"""What an encoder is given besides its parameters, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.progress import Progress, Say, silent, unsaid
from edgepress.records.inputs import InputSpec
from edgepress.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Request:
    """Images to learn from, how the pipeline's models see them, a seed, where to checkpoint."""

    images: ImageSet
    spec: InputSpec
    seed: int
    checkpoint: Checkpoint | None = None
    mapped: Callable[[InputSpec], ImageSet] | None = None
    """Gives the images with their pixels for a spec in a memory map; None has no place for one."""
    progress: Progress = silent
    say: Say = unsaid

    def pixels(self, spec: InputSpec) -> npt.NDArray[np.uint8]:
        """Return all images, uint8 [N, H, W, C], for an encoder that looks at them many times."""
        return (self.mapped(spec) if self.mapped else self.images).pixels(spec)


class Encoder(Protocol):
    """An encoder ready to use."""

    def embed(self, images: ImageSet) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the vectors of all images in order, [B, D] at a time."""
        ...
