"""The calibration set: the training images a quantizer sees, by id hash, the classes in turn."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.data.preprocess import decode, normalise
from edgepress.errors import UserError
from edgepress.records.calibration import IMAGES, Calibration
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file


@dataclass(frozen=True)
class CalibrationSet:
    """Images in memory with what they came from, all of length N."""

    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    images: npt.NDArray[np.float32]
    """Preprocessed, [N, C, H, W]."""
    spec: InputSpec

    def write(self, folder: Path) -> Calibration:
        """Write images.npy and calibration.json into `folder` (made if missing)."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / IMAGES, self.images, allow_pickle=False)
        record = Calibration(
            ids=self.ids,
            sha256=self.sha256,
            input=self.spec,
            images_sha256=sha256_file(folder / IMAGES),
        )
        record.write(folder)
        return record


def collect(images: ImageSet, spec: InputSpec, count: int) -> CalibrationSet:
    """Read `count` images, as many of each class as there are; too few images is a UserError."""
    if count > len(images):
        raise UserError(
            f"calibration: images: {count} asked for, only {len(images)} training images are kept; "
            f"ask for at most {len(images)}"
        )
    chosen = choose(images.ids, images.labels.tolist(), count)
    pixels = np.stack([decode(images.encoded(index), spec) for index in chosen])
    return CalibrationSet(
        ids=tuple(images.ids[index] for index in chosen),
        sha256=tuple(images.sha256[index] for index in chosen),
        images=normalise(pixels, spec),
        spec=spec,
    )


def choose(ids: Sequence[str], labels: Sequence[int], count: int) -> list[int]:
    """Return `count` positions in ascending order, the classes served in turn.

    Within a class the smallest SHA-256 of the id comes first, so the choice depends neither on the
    order of the rows nor on a seed, and a new image displaces at most one other.
    """
    rank: Counter[int] = Counter()
    turns = []
    for index in sorted(range(len(ids)), key=lambda index: _hash(ids[index])):
        label = labels[index]
        turns.append((rank[label], label, index))
        rank[label] += 1
    return sorted(index for _, _, index in sorted(turns)[:count])


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
