"""Shard files: .npy, .npz and Parquet opened by their headers and read in runs of rows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.vectors import cursor, npy, parquet

SUFFIXES = (".npy", ".npz", ".parquet")
TYPES = ("float16", "float32")

Halves = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Shard:
    """One file of vectors [rows, width]; `offset` is where raw rows begin, None where decoded."""

    path: Path
    rows: int
    width: int
    dtype: str
    offset: int | None
    member: str
    """Array of an .npz or column of a Parquet file; empty for .npy."""
    pieces: tuple[int, ...]
    """First row of each piece that decodes on its own (a Parquet row group), and the end."""
    stamp: tuple[int, int]
    """Size in bytes and time of change in ns when the shard was opened."""
    ids: tuple[Path, str] | None
    """File and column or member of the ids, None for row numbers."""

    def read(self, start: int, stop: int) -> Halves:
        """Return rows start..stop as stored, [stop - start, width]."""
        self.refuse_changed()
        if self.offset is not None:
            return self._read_raw(start, stop)
        parts = []
        for piece in range(len(self.pieces) - 1):
            first, last = max(start, self.pieces[piece]), min(stop, self.pieces[piece + 1])
            if first < last:
                parts.append(_decoded(self, piece, first, last))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read_raw(self, start: int, stop: int) -> Halves:
        # Read, not mapped: a file that shrinks under a mapping kills the process.
        out = np.empty((stop - start, self.width), self.dtype)
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek((self.offset or 0) + start * self.width * out.itemsize)
                filled = _fill(file, out)
        except OSError as error:
            raise UserError(f"{self.path}: row {start}: {error.strerror}; restore it") from None
        if filled < out.nbytes:
            row = start + filled // (self.width * out.itemsize)
            raise UserError(f"{self.path}: row {row}: the file ends early; write the shard again")
        return out

    def refuse_changed(self) -> None:
        """Raise UserError where the file is gone or no longer the one that was opened."""
        if stamp(self.path) != self.stamp:
            raise UserError(f"{self.path}: changed while it was being read; start again")


def inspect(path: Path, ids: tuple[Path, str] | None = None) -> Shard:
    """Open a shard by its header alone; `ids` names a companion file that holds its ids."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected one of {', '.join(SUFFIXES)}, or a folder of them")
    mark = stamp(path)
    try:
        if suffix == ".parquet":
            return _inspect_parquet(path, mark, ids)
        if suffix == ".npz":
            return _inspect_npz(path, mark, ids)
        with path.open("rb") as file:
            shape, dtype = npy.header(file, path)
            return _raw(path, (shape, dtype, file.tell(), ""), mark, ids)
    except cursor.DAMAGE as error:
        clause = cursor.reason(error)
        raise UserError(f"{path}: damaged or truncated ({clause}); write the shard again") from None


def raw(path: Path, dtype: str, shape: tuple[int, int], first: int = 0) -> Shard:
    """Describe rows first..first + shape[0] of a headerless file of vectors of our own."""
    offset = first * shape[1] * np.dtype(dtype).itemsize
    return Shard(path, *shape, dtype, offset, "", (0, shape[0]), stamp(path), None)


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of change; a file that is not there is a UserError."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; restore the shard or leave it out") from None
    return status.st_size, status.st_mtime_ns


def _fill(file: io.RawIOBase, out: Halves) -> int:
    view = memoryview(out.data).cast("B")
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled:])
        if not count:
            break
        filled += count
    return filled


def _raw(
    path: Path,
    found: tuple[tuple[int, ...], np.dtype[Any], int, str],
    mark: tuple[int, int],
    ids: tuple[Path, str] | None,
) -> Shard:
    shape, dtype, offset, member = found
    _refuse_shape(path, shape, dtype)
    _refuse_short(path, shape, dtype, mark[0] - offset)
    return Shard(path, shape[0], shape[1], dtype.name, offset, member, (0, shape[0]), mark, ids)


def _refuse_short(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    """Compare what the header promises with the `size` of the data in bytes."""
    missing = shape[0] * shape[1] * dtype.itemsize - size
    if missing > 0:
        whole = size // (shape[1] * dtype.itemsize)
        raise UserError(
            f"{path}: row {max(whole, 0)}: truncated, {missing} bytes are missing of "
            f"{shape[0]} rows; write the shard again"
        )


def _refuse_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) != 2 or shape[1] <= 0 or shape[0] < 0:
        raise UserError(f"{path}: expected an array [rows, width], got shape {list(shape)}")
    if dtype.name not in TYPES or not dtype.isnative:
        raise UserError(f"{path}: expected float16 or float32, got {dtype}; cast it and save again")
    if shape[0] == 0:
        raise UserError(f"{path}: holds no rows; leave the shard out")


def _inspect_npz(path: Path, mark: tuple[int, int], ids: tuple[Path, str] | None) -> Shard:
    with zipfile.ZipFile(path) as archive:
        names = npy.members(archive)
        known = [name for name in parquet.VECTOR_NAMES if name in names]
        if not known:
            raise UserError(
                f"{path}: none of {', '.join(parquet.VECTOR_NAMES)} is in it, only "
                f"{', '.join(names) or 'nothing'}; save the array under one of these names"
            )
        info = names[known[0]]
        if ids is None and "ids" in names:
            ids = (path, "ids")
        with archive.open(info) as member:
            shape, dtype = npy.header(member, path)
            header = member.tell()
    if info.compress_type == zipfile.ZIP_STORED:
        offset = npy.stored_at(path, info) + header
        return _raw(path, (shape, dtype, offset, known[0]), mark, ids)
    _refuse_shape(path, shape, dtype)
    _refuse_short(path, shape, dtype, info.file_size - header)
    rows, width = shape
    return Shard(path, rows, width, dtype.name, None, known[0], (0, rows), mark, ids)


def _inspect_parquet(path: Path, mark: tuple[int, int], ids: tuple[Path, str] | None) -> Shard:
    found = parquet.layout(path)
    if ids is None and found.id_column:
        ids = (path, found.id_column)
    _refuse_shape(path, (found.rows, found.width), found.dtype)
    return Shard(
        path, found.rows, found.width, found.dtype.name, None, found.column, found.pieces, mark, ids
    )


def _decoded(shard: Shard, piece: int, start: int, stop: int) -> Halves:
    """Return rows start..stop of one piece, which hold on to no more than a run of it."""
    path = shard.path

    def begin() -> cursor.Cursor:
        if path.suffix.lower() == ".npz":
            runs = npy.runs(path, shard.member, cursor.run_rows(shard.width))
        else:
            runs = parquet.runs(path, shard.member, piece, shard.width)
        return cursor.Cursor(path, shard.pieces[piece], runs)

    return cursor.read((path, shard.stamp, shard.member, piece), start, stop, begin)
