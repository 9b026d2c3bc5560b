"""Calibration: the exact images a quantizer sees, part of every INT8 model's identity."""

from __future__ import annotations

from typing import ClassVar

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record

IMAGES = "images.npy"


class Calibration(Record):
    """Images by id and hash; images.npy beside it has them decoded, uint8 [N, H, W, C].

    Normalised only as they are read, a few at a time, so that memory stays flat in their number.
    """

    file_name: ClassVar[str] = "calibration.json"
    schema_version: int = 2

    ids: tuple[str, ...]
    """Manifest ids, in the order of images.npy."""
    sha256: tuple[str, ...]
    """sha256 of each image's encoded bytes, same order."""
    input: InputSpec
    images_sha256: str
    """sha256 of images.npy."""
