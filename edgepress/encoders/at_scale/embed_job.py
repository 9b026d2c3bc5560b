"""EmbedJob: embed the shards of a list one by one, each whole or not at all, whoever does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from edgepress.data.listing import Entry
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.preprocess import decode
from edgepress.data.storage import Storage
from edgepress.encoders.at_scale.image_shards import ImageShard
from edgepress.encoders.at_scale.shard_writer import ShardWriter, shard_folder
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.errors import UserError
from edgepress.records.embedded_shard import DAMAGED, EmbeddedShard
from edgepress.records.inputs import InputSpec
from edgepress.records.saved_encoder import SavedEncoder

ENCODER = "encoder"
"""Folder below the output with the encoder that made it."""

_BROKEN = frozenset([DAMAGED, "cannot be read", "cut off"])
"""Kinds of reason that tell of damage to a tar or Parquet file rather than to an image in it."""

_Bytes = tuple[str, bytes | UnusableError]
_Pixels = tuple[str, npt.NDArray[np.uint8] | UnusableError]


class DamagedError(UserError):
    """Raised for a shard that has become damaged since it was embedded; its vectors stay."""


@dataclass(frozen=True)
class EmbedJob:
    """Shards of images, and the folder for their vectors, which holds the encoder already."""

    shards: tuple[ImageShard, ...]
    """By output number, as `numbered` gives them."""
    out: Path
    dtype: Literal["float16", "float32"]
    column: str
    """Column of the images in Parquet shards."""

    def pending(self) -> list[int]:
        """Return the shards that have no vectors yet, or have changed since.

        An output of other shards, another encoder, type or column is a UserError.
        """
        left = []
        for index, shard in enumerate(self.shards):
            done = self.done(index)
            if done is not None:
                self._refuse_other(done, shard)
            if done is None or done.stamp != shard.stamp():
                left.append(index)
        return left

    def done(self, index: int) -> EmbeddedShard | None:
        """Return what is known of a finished shard, None if it is not."""
        folder = shard_folder(self.out, index)
        known = (folder / EmbeddedShard.file_name).is_file()
        return EmbeddedShard.read(folder) if known else None

    def attempt(self, index: int) -> str | None:
        """Embed one shard; return why not where it is damaged and keeps its earlier vectors."""
        try:
            self.embed(index)
        except DamagedError as reason:
            return str(reason)
        return None

    def embed(self, index: int) -> EmbeddedShard:
        """Write the vectors of one shard; earlier ones stay until the new ones are whole.

        A shard that changes meanwhile is a UserError; one that had vectors and now breaks off, or
        has no usable image left, a DamagedError. A new shard gives what lies before the damage.
        """
        # Kernels that are split over threads may round differently.
        torch.set_num_threads(1)
        shard, encoder = self.shards[index], self._encoder
        stamp = shard.stamp()
        with closing(ShardWriter(self.out, index, self.dtype)) as writer:
            images = _decoded(_encoded(shard, self.column), encoder.spec)
            for ids, pixels in _batches(images, encoder.batch, writer):
                writer.add(ids, encoder.vectors(pixels))
            if shard.stamp() != stamp:
                raise UserError(f"{shard.path}: changed while it was read; run again")
            self._refuse_loss(index, writer)
            embedded = EmbeddedShard(
                shard=shard.name,
                stamp=stamp,
                encoder=self._weights_sha256,
                dtype=self.dtype,
                column=self.column,
                rows=len(writer.ids),
                width=writer.width,
                quarantined=writer.quarantined,
            )
            writer.finish(embedded)
        return embedded

    def _refuse_loss(self, index: int, writer: ShardWriter) -> None:
        before, shard = self.done(index), self.shards[index]
        if before is None or not before.rows:
            return
        why = writer.reason(_BROKEN) if shard.container != "file" else None
        if why is None and not writer.ids:
            why = "no image of it can be used any more"
        if why is not None:
            why = why.replace(f"{shard.path}: ", "")
            raise DamagedError(f"{shard.path}: {why}")

    @cached_property
    def _encoder(self) -> NetworkEncoder:
        return NetworkEncoder.load(self.out / ENCODER)

    @cached_property
    def _weights_sha256(self) -> str:
        return SavedEncoder.read(self.out / ENCODER).weights_sha256

    def _refuse_other(self, done: EmbeddedShard, shard: ImageShard) -> None:
        asked = (shard.name, self._weights_sha256, self.dtype, self.column)
        there = (done.shard, done.encoder, done.dtype, done.column)
        for what, mine, theirs in zip(
            ("shard", "encoder", "type", "column"), asked, there, strict=True
        ):
            if mine != theirs:
                raise UserError(
                    f"{self.out}: holds vectors of {what} {theirs}, asked for is {mine}; "
                    "name another --out"
                )


def _encoded(shard: ImageShard, column: str) -> Iterator[_Bytes]:
    """Yield the bytes of every image, or why there are none; what is left of a damaged shard."""
    try:
        storage = Storage(shard.container, Path(), shard.column(column))
        with closing(storage):
            for entry in shard.entries():
                yield entry.id, _bytes(storage, entry)
    except UnusableError as error:
        yield shard.name, UnusableError(f"{DAMAGED}: {error}")


def _bytes(storage: Storage, entry: Entry) -> bytes | UnusableError:
    if entry.problem is not None:
        return UnusableError(entry.problem)
    try:
        return storage.read(entry.path, entry.row, entry.offset, entry.length)
    except UnusableError as reason:
        return reason


def _decoded(images: Iterator[_Bytes], spec: InputSpec) -> Iterator[_Pixels]:
    """Decode on threads, in order."""

    def decode_all(group: list[_Bytes]) -> list[_Pixels]:
        return [(name, _pixels(data, spec)) for name, data in group]

    groups = chunks(images, lambda item: len(item[1]) if isinstance(item[1], bytes) else 0)
    for group in ordered(decode_all, groups):
        yield from group


def _pixels(data: bytes | UnusableError, spec: InputSpec) -> npt.NDArray[np.uint8] | UnusableError:
    if isinstance(data, UnusableError):
        return data
    try:
        return decode(data, spec)
    except UnusableError as reason:
        return reason


def _batches(
    images: Iterator[_Pixels], size: int, writer: ShardWriter
) -> Iterator[tuple[list[str], npt.NDArray[np.uint8]]]:
    """Yield ids and pixels [<= size, H, W, C] of usable images; the others are set aside."""
    ids: list[str] = []
    held: list[npt.NDArray[np.uint8]] = []
    for name, pixels in images:
        if isinstance(pixels, UnusableError):
            writer.set_aside(name, str(pixels))
            continue
        ids.append(name)
        held.append(pixels)
        if len(held) == size:
            yield ids, np.stack(held)
            ids, held = [], []
    if held:
        yield ids, np.stack(held)
