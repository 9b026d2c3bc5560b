"""Calibration images as exporters take them: normalised a few at a time, never all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepress.data.preprocess import normalise
from edgepress.records.calibration import IMAGES, Calibration
from edgepress.records.inputs import InputSpec
from edgepress.records.named import Named

OBSERVED = 16
"""Images at a time that pass a network whose ranges torch observes."""


@dataclass(frozen=True)
class CalibrationImages:
    """Decoded images, uint8 [N, H, W, C], an array or a memory map, N above 0."""

    pixels: npt.NDArray[np.uint8]
    spec: InputSpec

    @classmethod
    def open(cls, folder: Path) -> CalibrationImages:
        """Open a calibration folder; missing or changed files are UserErrors."""
        record = Calibration.read(folder)
        again = "run quantize again"
        named = Named(folder / IMAGES, record.images_sha256, Calibration.file_name, again)
        pixels = np.load(named.checked(), mmap_mode="r", allow_pickle=False)
        return cls(pixels, record.input)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pixels)

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the images one by one, float32 [1, C, H, W]."""
        return self.batches(1)

    def batches(self, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield float32 [<= size, C, H, W]."""
        for start in range(0, len(self), size):
            yield normalise(np.asarray(self.pixels[start : start + size]), self.spec)
