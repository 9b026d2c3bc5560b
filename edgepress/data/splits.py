"""Splits by the hash of an image's id: the same on every machine, stable as images come and go."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

from pydantic import Field, model_validator

from edgepress.data.listing import Entry
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split


class Fractions(Config):
    """Shares of the images that a source without such a split gives to it."""

    val: float = Field(gt=0, lt=1)
    """Share for choosing between models."""
    test: float = Field(gt=0, lt=1)
    """Share for the last word."""

    @model_validator(mode="after")
    def _leaves_training_images(self) -> Fractions:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must stay below 1, got {self.val + self.test:g}")
        return self


def draw(entry: Entry, brought: frozenset[Split], fractions: Fractions) -> Split:
    """Return an image's split: the source's own; a val or test it lacks is taken from train."""
    if entry.split in ("val", "test"):
        return entry.split
    number = position(entry.id)
    test = 0.0 if "test" in brought else fractions.test
    val = 0.0 if "val" in brought else fractions.val
    if number < test:
        return "test"
    return "val" if number < test + val else "train"


class Together:
    """Copies of one file get the split that the first of them drew: no copy crosses splits.

    Splits that the source brings are its own; a copy across them is for `check` to find.
    """

    def __init__(self, brought: frozenset[Split], fractions: Fractions) -> None:
        """Share images out as `draw` does."""
        self._brought, self._fractions = brought, fractions
        self._drawn: dict[int, Split] = {}

    def draw(self, entry: Entry, sha256: str | None) -> Split:
        """Return an image's split; `sha256` is that of its file, None where it has none."""
        split = draw(entry, self._brought, self._fractions)
        if sha256 is None or entry.split in ("val", "test"):
            return split
        return self._drawn.setdefault(int(sha256[:16], 16), split)


def position(name: str) -> float:
    """Return the SHA-256 of an id as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7]) / 2**56


def limited(
    entries: Iterable[Entry], brought: frozenset[Split], fractions: Fractions, limit: int
) -> set[str]:
    """Return the ids of at most `limit` images per split, those whose second hash is smallest."""
    heaps: dict[Split, list[tuple[float, str]]] = {"train": [], "val": [], "test": []}
    for entry in entries:
        heap = heaps[draw(entry, brought, fractions)]
        item = (-position(f"limit {entry.id}"), entry.id)
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
