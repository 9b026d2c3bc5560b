"""Predictions: decoded answers to every test item by id, so that runs are compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from edgepress.records.named import Named
from edgepress.records.record import Record, sha256_file
from edgepress.records.tensors import Arrays

ANSWERS = "predictions.npz"


@dataclass(frozen=True)
class OpenPredictions:
    """N items' ids, and their answers name -> [N, ...] in that order."""

    ids: tuple[str, ...]
    answers: Arrays


class Predictions(Record):
    """A folder: predictions.json, predictions.npz (ids, decoded answers)."""

    file_name: ClassVar[str] = "predictions.json"

    items: int
    answers_sha256: str

    @classmethod
    def create(cls, folder: Path, ids: Sequence[str], answers: Arrays) -> Self:
        """Write the answers to the items `ids` into `folder`."""
        named = {f"answers.{name}": values for name, values in answers.items()}
        np.savez_compressed(
            folder / ANSWERS, allow_pickle=False, ids=np.array(ids, np.str_), **named
        )
        record = cls(items=len(ids), answers_sha256=sha256_file(folder / ANSWERS))
        record.write(folder)
        return record

    @classmethod
    def open(cls, folder: Path) -> OpenPredictions:
        """Read a folder written by `create`; missing, changed or damaged files are UserErrors."""
        record = cls.read(folder)
        again = "run the stage that writes it again"
        held = Named(folder / ANSWERS, record.answers_sha256, cls.file_name, again).arrays()
        ids = tuple(map(str, held.pop("ids")))
        return OpenPredictions(ids, {k.removeprefix("answers."): v for k, v in held.items()})
