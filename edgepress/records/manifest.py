"""Manifest: every item of a run by id, with its place, split, label and hashes.

An item is an image, or the part of one that its row's `crop` says.

A folder: manifest.json (this record), manifest.parquet (a row per image) and, where the source has
no files of its own to point at, images/.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepress.records.record import Record

TABLE = "manifest.parquet"
IMAGES = "images"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

LEAK = "leak"
"""Kind of reason: the image can be used, but its copy or its group is in val or test."""

Container = Literal["file", "parquet", "tar"]
"""What a row's path leads to: an image file, a Parquet file (row) or a plain tar (bytes)."""


class Groups(BaseModel):
    """How the usable images were grouped."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    by: str
    """What ingest.split.group went by; without it `picture`, whose items are a group."""
    groups: int
    """Groups that have a name."""
    largest: int
    """Images of the largest of them."""
    alone: int
    """Images that are a group of their own: what was gone by says nothing of them."""


class Manifest(Record):
    """What the table holds as a whole; its columns are described in `edgepress.data.table`."""

    file_name: ClassVar[str] = "manifest.json"
    schema_version: int = 3

    task: dict[str, Any]
    """The params.yaml entry of the task: what the labels are."""
    source: str
    """Name of the method that listed the images."""
    container: Container
    column: str | None
    """Column of the images in a Parquet container, by its exact name."""
    inside: bool
    """True where paths are relative to this folder, which may then be moved."""
    classes: tuple[str, ...] = Field(min_length=1)
    """What the numbers of a label stand for, in order."""
    items: dict[Split, int]
    """Usable items per split."""
    counts: dict[Split, dict[str, int]]
    """Usable items per split and class they count for; one may count for several, or for none."""
    groups: Groups | None = None
    """None where images were drawn one by one; the rows have the names."""
    quarantined: dict[str, int]
    """Unusable images per kind of reason; their rows carry the reason in full."""
    table_sha256: str
    """sha256 of manifest.parquet."""
    images_sha256: str | None
    """sha256 over images/, None where the images lie elsewhere."""

    @property
    def usable(self) -> int:
        """Number of items that may be used."""
        return sum(self.items.values())
