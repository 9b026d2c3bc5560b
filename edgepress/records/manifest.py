"""Manifest: every image of a run by id, with its place, split, label and hashes.

A folder: manifest.json (this record), manifest.parquet (a row per image) and, where the source has
no files of its own to point at, images/.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgepress.records.record import Record

TABLE = "manifest.parquet"
IMAGES = "images"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Container = Literal["file", "parquet", "tar"]
"""What a row's path leads to: an image file, a Parquet file (row) or a plain tar (bytes)."""


class Manifest(Record):
    """What the table holds as a whole; its columns are described in `edgepress.data.table`."""

    file_name: ClassVar[str] = "manifest.json"

    source: str
    """Name of the method that listed the images."""
    container: Container
    column: str | None
    """Column of the encoded bytes in a Parquet container, `image.bytes` for a field of a struct."""
    inside: bool
    """True where paths are relative to this folder, which may then be moved."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names; a label is an index into them."""
    counts: dict[Split, dict[str, int]]
    """Usable images per split and class."""
    quarantined: dict[str, int]
    """Unusable images per kind of reason; their rows carry the reason in full."""
    table_sha256: str
    """sha256 of manifest.parquet."""
    images_sha256: str | None
    """sha256 over images/, None where the images lie elsewhere."""

    @property
    def usable(self) -> int:
        """Number of images that may be used."""
        return sum(sum(per_class.values()) for per_class in self.counts.values())
