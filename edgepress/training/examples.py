"""Examples: decoded images and their truths as the training loop takes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays


@dataclass(frozen=True)
class Examples:
    """Images as uint8 [N, H, W, C], an array or memory map, with their truths, arrays [N, ...]."""

    pixels: npt.NDArray[np.uint8]
    truth: Arrays
    spec: InputSpec

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)

    def images(self, rows: npt.NDArray[np.int64] | slice) -> Tensor:
        """Return uint8 images [N, C, H, W], channels last in memory."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels[rows])).permute(0, 3, 1, 2)

    def targets(self, rows: npt.NDArray[np.int64] | slice) -> dict[str, Tensor]:
        """Return the truths of some images by name."""
        return {
            name: torch.from_numpy(np.ascontiguousarray(values[rows]))
            for name, values in self.truth.items()
        }

    def digest(self) -> str:
        """Return a sha256 over pixels and truths, part of a checkpoint's key."""
        digest = hashlib.sha256(self.spec.model_dump_json().encode())
        for name, values in [("pixels", self.pixels), *sorted(self.truth.items())]:
            digest.update(name.encode())
            for start in range(0, len(values), 4096):
                digest.update(np.ascontiguousarray(values[start : start + 4096]).data)
        return digest.hexdigest()


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
