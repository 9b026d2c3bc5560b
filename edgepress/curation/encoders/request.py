"""Request: what an encoder is given, besides its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from edgepress.data.images import ImageSet
from edgepress.records.inputs import InputSpec
from edgepress.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Request:
    """Images to embed, how the pipeline's models see them, the seed, a place for checkpoints."""

    images: ImageSet
    spec: InputSpec
    seed: int
    checkpoint: Checkpoint | None = None
