"""Changed: the answers of an export that differ most from the float network's, a few of them.

They are kept to be looked at: at most `MOST` items and `MOST_BYTES` before compression.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from edgepress.records.named import Named
from edgepress.records.record import Record, sha256_file
from edgepress.records.tensors import Arrays

ANSWERS = "changed.npz"
MOST = 4
MOST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class OpenChanged:
    """Items by rising agreement; `answers` has one of each, in that order."""

    ids: tuple[str, ...]
    agreement: tuple[float, ...]
    answers: Arrays


class Changed(Record):
    """A folder: changed.json, changed.npz (decoded answers)."""

    file_name: ClassVar[str] = "changed.json"

    ids: tuple[str, ...]
    agreement: tuple[float, ...]
    """How far each answer agrees with the float network's, 0 to 1."""
    answers_sha256: str

    @classmethod
    def create(cls, folder: Path, held: OpenChanged) -> Self:
        """Write the answers into `folder`."""
        np.savez_compressed(folder / ANSWERS, allow_pickle=False, **held.answers)
        digest = sha256_file(folder / ANSWERS)
        record = cls(ids=held.ids, agreement=held.agreement, answers_sha256=digest)
        record.write(folder)
        return record

    @classmethod
    def open(cls, folder: Path) -> OpenChanged:
        """Read a folder written by `create`; missing, changed or damaged files are UserErrors."""
        record = cls.read(folder)
        again = "run validate again"
        named = Named(folder / ANSWERS, record.answers_sha256, cls.file_name, again)
        return OpenChanged(record.ids, record.agreement, named.arrays())


def fitting(answers: Arrays) -> int:
    """Return how many items' answers may be kept: one at least."""
    items = max(1, len(next(iter(answers.values()))))
    each = sum(values.nbytes for values in answers.values()) / items
    return max(1, min(MOST, int(MOST_BYTES // max(each, 1.0))))
