"""Ids of rows: streamed in the order of the vectors, and checked to be complete and unique."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from edgepress.errors import UserError
from edgepress.vectors import npy
from edgepress.vectors.columns import numbers, strings
from edgepress.vectors.cursor import DAMAGE, reason
from edgepress.vectors.formats import Shard
from edgepress.vectors.parquet import ID_COLUMNS, named, opened
from edgepress.vectors.shards import Shards
from edgepress.workers.rows import RowFile

BATCH = 1 << 16
_BUCKET = 1 << 22


def stream(shards: Shards) -> Iterator[tuple[int, pa.Array]]:
    """Yield (first global row, ids) in order; row numbers, int64, where the shards bring no ids.

    Ids are strings or whole numbers as the first file has them; one of another type is a UserError.
    """
    first_kind: pa.DataType | None = None
    for start, part in zip(shards.starts, shards.parts, strict=False):
        if part.ids is None:
            for first in range(0, part.rows, BATCH):
                last = min(first + BATCH, part.rows)
                yield start + first, numbers(np.arange(start + first, start + last))
        else:
            for first, names in _named(part, start):
                first_kind = first_kind or names.type
                if names.type != first_kind:
                    raise _mixture(shards, part, (names.type, first_kind))
                yield first, names


def batches(shards: Shards) -> Iterator[tuple[int, pa.Array]]:
    """Yield (first global row, ids) cut every `BATCH` rows, wherever the shards begin and end."""
    held: list[pa.Array] = []
    start = rows = 0
    for _, names in stream(shards):
        while len(names):
            part = names.slice(0, BATCH - rows)
            names = names.slice(len(part))
            held.append(part)
            rows += len(part)
            if rows == BATCH:
                yield start, pa.concat_arrays(held)
                start, rows, held = start + rows, 0, []
    if held:
        yield start, pa.concat_arrays(held)


def refuse_repeats(shards: Shards, scratch: Path) -> None:
    """Raise UserError where an id is missing or repeated; memory does not grow with the rows.

    Hashes of the ids lie in the file `scratch` meanwhile; one share of their range is compared at a
    time.
    """
    if shards.parts[0].ids is None:
        return
    hashes = RowFile(scratch, np.dtype(np.int64), shards.rows)
    for start, names in stream(shards):
        marks = np.fromiter(map(hash, names.to_pylist()), np.int64, len(names))
        hashes.write(start, marks)
    shares = -(-shards.rows // _BUCKET)
    for share in range(shares):
        found = [marks[marks % shares == share] for _, marks in hashes.chunks()]
        ordered = np.sort(np.concatenate(found))
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        for mark in np.unique(repeated):
            _refuse_if_equal(shards, hashes, int(mark))
    scratch.unlink()


def _refuse_if_equal(shards: Shards, hashes: RowFile, mark: int) -> None:
    """Tell a repeated id from two ids that merely share a hash."""
    rows = {
        start + int(row)
        for start, marks in hashes.chunks()
        for row in np.flatnonzero(marks == mark)
    }
    seen: dict[str | int, int] = {}
    for start, names in stream(shards):
        for row in sorted(row for row in rows if start <= row < start + len(names)):
            name = names[row - start].as_py()
            if name in seen:
                raise UserError(
                    f"{shards.where(row)}: id {name!r} repeats that of {shards.where(seen[name])}; "
                    "ids must be unique"
                )
            seen[name] = row


def _named(part: Shard, start: int) -> Iterator[tuple[int, pa.Array]]:
    path, column = part.ids or (part.path, "")
    done = 0
    for names in _batches(path, column):
        if names.null_count:
            missing = np.flatnonzero(names.is_null().to_numpy(zero_copy_only=False))
            raise UserError(f"{path}: row {done + int(missing[0])}: the id is missing; fill it in")
        yield start + done, names
        done += len(names)
    if done != part.rows:
        raise UserError(f"{path}: {done} ids for the {part.rows} rows of {part.path}; one per row")


def _mixture(shards: Shards, part: Shard, kinds: tuple[pa.DataType, pa.DataType]) -> UserError:
    path, first = (each.ids[0] if each.ids else each.path for each in (part, shards.parts[0]))
    return UserError(
        f"{path}: ids are {kinds[0]}, but those of {first} are {kinds[1]}; write all as one type"
    )


def _batches(path: Path, column: str) -> Iterator[pa.Array]:
    try:
        if path.suffix.lower() == ".npz":
            yield from _members(path, column)
            return
        with opened(path) as file:
            columns = file.schema_arrow.names
            name = column or next((name for name in ID_COLUMNS if name in columns), "")
            if not name:
                raise UserError(
                    f"{path}: none of {', '.join(ID_COLUMNS)} is in it, only "
                    f"{', '.join(columns) or 'nothing'}; name the column of ids so"
                )
            kind = _kind(file.schema_arrow.field(name).type)
            for batch in file.iter_batches(BATCH, columns=[name], use_threads=False):
                yield named(batch, name).cast(kind)
    except DAMAGE as error:
        clause = reason(error)
        raise UserError(f"{path}: ids cannot be read ({clause}); write the file again") from None


def _kind(found: pa.DataType) -> pa.DataType:
    """Return the type ids are passed on as: int64, uint64 where it needs that room, or string."""
    found = found.value_type if pa.types.is_dictionary(found) else found
    if not pa.types.is_integer(found):
        return pa.string()
    return found if found == pa.uint64() else pa.int64()


def _members(path: Path, member: str) -> Iterator[pa.Array]:
    for names in npy.runs(path, member, BATCH):
        if names.ndim != 1 or names.dtype.kind not in "USiu":
            raise UserError(f"{path}: {member}: expected a list of strings, got {names.dtype}")
        if names.dtype.kind in "iu":
            kind = _kind(pa.from_numpy_dtype(names.dtype))
            yield numbers(names.astype(kind.to_pandas_dtype()))
        else:
            yield strings(names.astype(str).tolist())
