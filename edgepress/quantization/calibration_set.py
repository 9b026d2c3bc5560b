"""The calibration set: the training images a quantizer sees, by id hash, the classes in turn."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.calibration import IMAGES, Calibration
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file


@dataclass(frozen=True)
class CalibrationSet:
    """The chosen images, encoded until they are written."""

    images: ImageSet
    spec: InputSpec

    def write(self, folder: Path) -> Calibration:
        """Write images.npy, one image after the other, and calibration.json into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        spec = self.spec
        shape = (len(self.images), spec.height, spec.width, spec.channels)
        held = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        for index, image in enumerate(self.images.decoded(spec)):
            held[index] = image
        held.flush()
        record = Calibration(
            ids=tuple(self.images.ids),
            sha256=tuple(self.images.sha256),
            input=spec,
            images_sha256=sha256_file(folder / IMAGES),
        )
        record.write(folder)
        return record


def collect(images: ImageSet, spec: InputSpec, count: int) -> CalibrationSet:
    """Choose `count` images, as many of each class as there are; too few images is a UserError."""
    if count > len(images):
        raise UserError(
            f"calibration: images: {count} asked for, only {len(images)} training images are kept; "
            f"ask for at most {len(images)}"
        )
    return CalibrationSet(images.take(choose(images.ids, images.strata.tolist(), count)), spec)


def choose(ids: Sequence[str], strata: Sequence[int], count: int) -> list[int]:
    """Return `count` positions in ascending order, the classes served in turn.

    Within a class the smallest SHA-256 of the id comes first, so the choice depends neither on the
    order of the rows nor on a seed, and a new image displaces at most one other.
    """
    rank: Counter[int] = Counter()
    turns = []
    for index in sorted(range(len(ids)), key=lambda index: _hash(ids[index])):
        stratum = strata[index]
        turns.append((rank[stratum], stratum, index))
        rank[stratum] += 1
    return sorted(index for _, _, index in sorted(turns)[:count])


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
