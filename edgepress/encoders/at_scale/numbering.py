"""Numbering: which output number each shard has, so that a set of images may grow."""

from __future__ import annotations

from pathlib import Path

from edgepress.encoders.at_scale.image_shards import ImageShard
from edgepress.errors import UserError
from edgepress.records.embedded_shard import EmbeddedShard


def numbered(shards: tuple[ImageShard, ...], out: Path) -> tuple[ImageShard, ...]:
    """Return the shards by output number: finished ones keep theirs, others fill what is free.

    An output of shards that are not among those given is a UserError.
    """
    by_name = {shard.name: shard for shard in shards}
    placed: dict[int, ImageShard] = {}
    for number, name in sorted(_finished(out).items()):
        if name not in by_name:
            raise UserError(
                f"{out}: holds vectors of {name}, which is not among the {len(shards)} shards "
                "given; give it too, or name another --out"
            )
        if number >= len(shards):
            raise UserError(
                f"{out}: holds vectors of {name} under number {number}, but only {len(shards)} "
                "shards are given; give all that were, or name another --out"
            )
        placed[number] = by_name.pop(name)
    rest = iter(by_name.values())
    return tuple(placed.get(number) or next(rest) for number in range(len(shards)))


def _finished(out: Path) -> dict[int, str]:
    """Return the shards' names by number."""
    records = (out / "shards").glob(f"*/{EmbeddedShard.file_name}")
    return {int(path.parent.name): EmbeddedShard.read(path.parent).shard for path in records}
