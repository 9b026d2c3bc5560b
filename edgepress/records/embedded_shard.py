"""EmbeddedShard: one shard of images whose vectors are written."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgepress.records.record import Record

DAMAGED = "damaged shard"
"""Kind of reason that stands for all of a shard that lies behind damage."""


class EmbeddedShard(Record):
    """What was embedded and how many images were set aside; written when all else is there."""

    file_name: ClassVar[str] = "shard.json"

    shard: str
    """Name of the shard of images."""
    stamp: str
    """sha256 of the names, sizes and times of change of the shard's files when they were read."""
    encoder: str
    """sha256 of the encoder's weights."""
    dtype: Literal["float16", "float32"]
    column: str
    """Column of the images, where the shard is a Parquet file."""
    rows: int = Field(ge=0)
    width: int = Field(ge=0)
    """Components of a vector; 0 where no image could be used."""
    quarantined: dict[str, int]
    """Kind of reason -> images set aside, each named in quarantine.parquet beside this.

    `DAMAGED` counts one for a file that broke off: how many images lay behind is not known.
    """

    @property
    def broken(self) -> bool:
        """Whether the shard's file broke off, so that images behind the damage are missing."""
        return DAMAGED in self.quarantined

    @property
    def seen(self) -> int:
        """Images that were found, usable or not."""
        return self.rows + sum(self.quarantined.values()) - self.quarantined.get(DAMAGED, 0)
