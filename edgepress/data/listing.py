"""Listing: what a source knows before any image is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from edgepress.records.manifest import Container, Split


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
