"""Examples: images and their truths as the training loop takes them, batch after batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgepress.data.row_groups import Stored
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

Rows = npt.NDArray[np.int64]
Batch = tuple[Tensor, dict[str, Tensor]]
"""uint8 images [n, C, H, W], channels last in memory, and their truths by name, [n, ...]."""


class Dataset(Protocol):
    """Images with their truths, wherever they are."""

    @property
    def spec(self) -> InputSpec:
        """What the images were prepared for."""
        ...

    @property
    def truth(self) -> Arrays:
        """All truths, arrays [N, ...] by name."""
        ...

    @property
    def stored(self) -> Stored | None:
        """Which images lie in one row group; None where all orders are alike."""
        ...

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def batches(self, rows: Iterable[Rows]) -> Iterator[Batch]:
        """Yield the images of these rows, in this order; the next ones may be on their way."""
        ...

    def digest(self) -> str:
        """Return a sha256 over images and truths, part of a checkpoint's key."""
        ...


@dataclass(frozen=True)
class Examples:
    """Images as uint8 [N, H, W, C] with their truths [N, ...], arrays or memory maps."""

    pixels: npt.NDArray[np.uint8]
    truth: Arrays
    spec: InputSpec
    key: str = ""
    """A hash of what they were made from, where it is known: then no pixel is read for `digest`."""
    stored: Stored | None = None
    """Which images lie in one row group where they came from: mapped or streamed, epochs are of one
    order."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)

    def batches(self, rows: Iterable[Rows]) -> Iterator[Batch]:
        """Yield the images of these rows."""
        for some in rows:
            yield batch(self.pixels[some], {name: all_[some] for name, all_ in self.truth.items()})

    def digest(self) -> str:
        """Return `key`, or a sha256 over pixels and truths."""
        if self.key:
            return self.key
        digest = hashlib.sha256(self.spec.model_dump_json().encode())
        for name, values in [("pixels", self.pixels), *sorted(self.truth.items())]:
            digest.update(name.encode())
            for start in range(0, len(values), 4096):
                digest.update(np.ascontiguousarray(values[start : start + 4096]).data)
        return digest.hexdigest()


def batch(pixels: npt.NDArray[np.uint8], truth: Arrays) -> Batch:
    """Return images [n, H, W, C] and truths [n, ...] as tensors."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    return images, {
        name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in truth.items()
    }


def in_order(some: range, size: int) -> Iterator[Rows]:
    """Yield the rows of a run of them, at most `size` at a time."""
    for start in range(some.start, some.stop, size):
        yield np.arange(start, min(start + size, some.stop))


class Normalise:
    """Turn uint8 images into what the network takes: (x / 255 - mean) / std in float32."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        """Keep scale and offset per channel on `device`."""
        std = torch.tensor(spec.std, device=device)
        mean = torch.tensor(spec.mean, device=device)
        self._scale = (1 / (255 * std))[None, :, None, None]
        self._offset = (-mean / std)[None, :, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """Map uint8 [N, C, H, W] to float32 of the same shape."""
        return torch.addcmul(self._offset, images.float(), self._scale)
