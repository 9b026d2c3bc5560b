"""Splits by the hash of a name: the same on every machine, stable as images come and go.

The name is that of an image's group, or its id where it has none.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from edgepress.data.groups import Grouping, Named
from edgepress.data.listing import Entry
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split


class Fractions(Config):
    """What a split gets of the images where the source brings no such split."""

    val: float = Field(gt=0, lt=1)
    """Share for choosing between models."""
    test: float = Field(gt=0, lt=1)
    """Share for the last word."""
    group: Grouping | None = None
    """What belongs together and is drawn into one split; null: copies of one file alone."""
    leaks: Literal["keep", "quarantine"] = "keep"
    """What becomes of an image whose copy, or whose group, is in a val or test split that the
    source brings: keep it, for the check to find, or quarantine it."""

    @model_validator(mode="after")
    def _leaves_training_images(self) -> Fractions:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must stay below 1, got {self.val + self.test:g}")
        return self


def draw(
    entry: Entry, brought: frozenset[Split], fractions: Fractions, name: str | None = None
) -> Split:
    """Return an image's split: the source's own; a val or test it lacks is taken from train.

    `name` is that of its group, None where it is a group of its own.
    """
    if entry.split in ("val", "test"):
        return entry.split
    test, val = bounds(brought, fractions)
    number = position(name or entry.id)
    if number < test:
        return "test"
    return "val" if number < val else "train"


def bounds(brought: frozenset[Split], fractions: Fractions) -> tuple[float, float]:
    """Return the positions below which a name is drawn for test, and for test or val."""
    test = 0.0 if "test" in brought else fractions.test
    val = 0.0 if "val" in brought else fractions.val
    return test, test + val


def key(name: str) -> int:
    """Return the first 64 bits of a name's SHA-256."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def position(name: str) -> float:
    """Return the SHA-256 of a name as a number in [0, 1)."""
    return (key(name) >> 8) / 2**56


def turn(name: str) -> float:
    """Return the second hash of an id, by which a limit chooses: a number in [0, 1)."""
    return position(f"limit {name}")


def limited(
    images: Iterable[Named], brought: frozenset[Split], fractions: Fractions, limit: int
) -> set[str]:
    """Return the ids of at most `limit` images per split, those whose second hash is smallest."""
    heaps: dict[Split, list[tuple[float, str]]] = {"train": [], "val": [], "test": []}
    for entry, name in images:
        heap = heaps[draw(entry, brought, fractions, name)]
        item = (-turn(entry.id), entry.id)
        if len(heap) < limit:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    return {name for heap in heaps.values() for _, name in heap}


def refuse_empty(
    items: dict[Split, int], counts: dict[Split, dict[str, int]], where: str, hint: str
) -> None:
    """Raise a UserError for the first split, then the first class, that holds no usable image."""
    for split, number in items.items():
        if not number:
            raise UserError(f"{where}: the {split} split has no usable image; {hint}")
    for name in next(iter(counts.values())):
        if not any(per_class[name] for per_class in counts.values()):
            raise UserError(f"{where}: the class {name!r} has no usable image; {hint}")
