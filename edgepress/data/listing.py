"""Listing: what a source knows before any image is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from edgepress.data.walk import LeftOut, decodable, printable
from edgepress.records.manifest import Container, Split

NOT_UTF8 = "unreadable name: is not UTF-8; rename it"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image by its place; `problem` is set where the source already knows it cannot be used."""

    id: str
    """Stable and readable; the split is drawn from its hash."""
    path: str
    label: Any
    """A value of the listing's `labels`; None where there is none, with a `problem`."""
    split: Split | None = None
    """The source's own split; None leaves it to the id hash."""
    row: int | None = None
    """Row in a Parquet container."""
    offset: int | None = None
    """First byte in a tar container."""
    length: int | None = None
    """Bytes in a tar container."""
    problem: str | None = None

    @classmethod
    def of_file(
        cls,
        path: Path,
        root: Path,
        label: Any,
        split: Split | None = None,
        problem: str | None = None,
    ) -> Self:
        """Return the entry of an image file below `root`; a name that is not UTF-8 is a problem."""
        name, place = path.relative_to(root).as_posix(), path.as_posix()
        if not decodable(name):
            name, place, problem = printable(name), printable(place), NOT_UTF8
        return cls(name, place, label, split, problem=problem)


@dataclass(frozen=True)
class Listing:
    """All images of a source; `entries` may be called again and gives the same order each time."""

    source: str
    where: str
    """The place in the user's words, for messages."""
    container: Container
    inside: bool
    """True where paths are relative to the folder given to `ingest`."""
    classes: tuple[str, ...]
    """What the numbers of a label stand for, in order."""
    splits: frozenset[Split]
    """Splits the source brings; empty where it brings none."""
    entries: Callable[[], Iterator[Entry]]
    column: str | None = None
    """Column of the encoded bytes in a Parquet container."""
    labels: pa.DataType = field(default_factory=pa.int32)
    """Type of the labels: an index into the classes unless the source says otherwise."""
    left_out: LeftOut = field(default_factory=LeftOut)
    """Files that lie there and are no images of the set, and what on these the task looks past."""
