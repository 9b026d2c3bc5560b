"""EmbeddedShard: one shard of images whose vectors are written."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgepress.records.record import Record


class EmbeddedShard(Record):
    """What was embedded and how many images were set aside; written when all else is there."""

    file_name: ClassVar[str] = "shard.json"

    shard: str
    """Name of the shard of images."""
    stamp: str
    """Bytes and time of change of the shard's files when they were read."""
    encoder: str
    """sha256 of the encoder's weights."""
    dtype: Literal["float16", "float32"]
    column: str
    """Column of the images, where the shard is a Parquet file."""
    rows: int = Field(ge=0)
    width: int = Field(ge=0)
    """Components of a vector; 0 where no image could be used."""
    quarantined: dict[str, int]
    """Kind of reason -> images set aside; each is named in the quarantine folder."""
