"""Reference: the float network's answers to the test split, what every export is compared with.

Decoded answers are kept of all items, raw outputs of a sample alone: as many items as fit into
`MAX_SAMPLE` and `MAX_SAMPLE_BYTES`, those whose id has the smallest SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from edgepress.records.named import Named
from edgepress.records.record import Record, sha256_file
from edgepress.records.tensors import Arrays, Groups, TensorSpec

ANSWERS = "answers.npz"
SAMPLE = "sample.npz"
MAX_SAMPLE = 256
MAX_SAMPLE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OpenReference:
    """A reference in memory: N items, n of them in the sample."""

    ids: tuple[str, ...]
    truth: Arrays
    answers: Arrays
    rows: tuple[int, ...]
    """Items of the sample, ascending."""
    raw: Arrays
    """Output name -> float outputs [n, ...] of the sample, in the order of `rows`."""
    bundle_sha256: str
    groups: Groups = None


class Reference(Record):
    """A folder: reference.json, answers.npz (ids, truth, answers, groups), sample.npz (raw)."""

    file_name: ClassVar[str] = "reference.json"

    items: int
    sample: int
    answers_sha256: str
    sample_sha256: str

    @classmethod
    def create(cls, folder: Path, held: OpenReference) -> Self:
        """Write a reference into `folder` (made if missing)."""
        folder.mkdir(parents=True, exist_ok=True)
        named = {
            **{f"truth.{name}": values for name, values in held.truth.items()},
            **{f"answers.{name}": values for name, values in held.answers.items()},
        }
        if held.groups is not None:
            named["groups"] = held.groups
        np.savez_compressed(
            folder / ANSWERS, allow_pickle=False, ids=np.array(held.ids, np.str_), **named
        )
        raw = {f"raw.{name}": values for name, values in held.raw.items()}
        np.savez(folder / SAMPLE, allow_pickle=False, rows=np.array(held.rows, np.int64), **raw)
        record = cls(
            items=len(held.ids),
            sample=len(held.rows),
            answers_sha256=sha256_file(folder / ANSWERS),
            sample_sha256=sha256_file(folder / SAMPLE),
        )
        record.write(folder)
        return record

    @classmethod
    def open(cls, folder: Path, bundle_sha256: str) -> OpenReference:
        """Read a folder written by `create`; missing, changed or damaged files are UserErrors."""
        record = cls.read(folder)
        held: Arrays = {}
        files = {ANSWERS: record.answers_sha256, SAMPLE: record.sample_sha256}
        for name, expected in files.items():
            held |= Named(folder / name, expected, cls.file_name, "run quantize again").arrays()
        return OpenReference(
            ids=tuple(map(str, held["ids"])),
            truth=_under("truth.", held),
            answers=_under("answers.", held),
            rows=tuple(map(int, held["rows"])),
            raw=_under("raw.", held),
            bundle_sha256=bundle_sha256,
            groups=held.get("groups"),
        )


def sampled(ids: Sequence[str], outputs: Sequence[TensorSpec]) -> tuple[int, ...]:
    """Return which items' raw outputs are kept, ascending: by id hash, bounded in bytes."""
    each = sum(spec.zeros().nbytes for spec in outputs)
    count = max(1, min(MAX_SAMPLE, len(ids), MAX_SAMPLE_BYTES // max(each, 1)))
    ranked = sorted(range(len(ids)), key=lambda row: hashlib.sha256(ids[row].encode()).digest())
    return tuple(sorted(ranked[:count]))


def _under(prefix: str, held: Arrays) -> Arrays:
    return {
        name.removeprefix(prefix): values
        for name, values in held.items()
        if name.startswith(prefix)
    }
