"""Encoded bytes by place: files, rows of Parquet files, byte ranges of tars; quick in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.image_column import encoded, image_problem
from edgepress.data.picture import UnusableError
from edgepress.records.manifest import Container

MAX_BYTES = 2**28
"""Encoded size above which an image is refused unread (256 MiB)."""

_ROWS = 256


class Storage:
    """One open container at a time; reading in the listing's order reads every file once."""

    def __init__(self, container: Container, root: Path, column: str | None = None) -> None:
        """Read below `root`; `column` is that of the images in a Parquet container."""
        self._container = container
        self._root = root
        self._column = column
        self._open: _Rows | BinaryIO | None = None
        self._path = ""

    def read(self, path: str, row: int | None, offset: int | None, length: int | None) -> bytes:
        """Return the encoded bytes at a place; what is missing or unreadable is `UnusableError`."""
        try:
            if self._container == "file":
                return self._whole(path)
            if self._container == "tar":
                return self._range(path, offset or 0, length or 0)
            return self._row(path, row or 0)
        except OSError as error:
            raise UnusableError(f"cannot be read: {error.strerror or error} ({path})") from None
        except pa.ArrowException as error:
            raise UnusableError(f"cannot be read: {error} ({path})") from None

    def close(self) -> None:
        """Close the open container, if any."""
        if self._open is not None:
            self._open.close()
        self._open, self._path = None, ""

    def file(self, path: str) -> bytes:
        """Return a whole file's bytes, whatever the container; for any thread."""
        try:
            return self._whole(path)
        except OSError as error:
            raise UnusableError(f"cannot be read: {error.strerror or error} ({path})") from None

    def _whole(self, path: str) -> bytes:
        full = self._root / path
        _refuse_huge(full.stat().st_size)
        return full.read_bytes()

    def _range(self, path: str, offset: int, length: int) -> bytes:
        _refuse_huge(length)
        if self._path != path:
            self.close()
            self._open, self._path = (self._root / path).open("rb"), path
        file: Any = self._open
        file.seek(offset)
        data: bytes = file.read(length)
        if len(data) != length:
            raise UnusableError(f"cut off: {len(data)} of {length} bytes are left in {path}")
        return data

    def _row(self, path: str, row: int) -> bytes:
        if self._path != path:
            self.close()
            self._open, self._path = _Rows(self._root / path, self._column or "image"), path
        rows: Any = self._open
        data: bytes | None = rows.read(row)
        if data is None:
            raise UnusableError("empty: the row holds no bytes")
        return data


class _Rows:
    """Forward reading of one binary column in small batches, jumping by row group when it must."""

    def __init__(self, path: Path, column: str) -> None:
        self._batch: Any = ()
        self._file = pq.ParquetFile(path, memory_map=True)
        self._column = column
        problem = image_problem(self._file.schema_arrow, column)
        if problem is not None:
            self._file.close()
            raise UnusableError(f"cannot be read: {problem} ({path.name})")
        self._starts = [0]
        for group in range(self._file.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self._seek(0)

    def read(self, row: int) -> bytes | None:
        if not 0 <= row < self._starts[-1]:
            raise UnusableError(f"cannot be read: row {row} of {self._starts[-1]} rows")
        if not self._first <= row < self._group_end:
            self._seek(row)
        while row >= self._first + len(self._batch):
            self._first += len(self._batch)
            batch = next(self._batches, None)
            if batch is None:  # pyarrow ends a row group at its first damaged page
                raise UnusableError("cannot be read: lies behind damage in its row group")
            self._batch = encoded(batch, self._column)
        data: bytes | None = self._batch[row - self._first].as_py()
        return data

    def close(self) -> None:
        self._file.close()

    def _seek(self, row: int) -> None:
        group = max(i for i, start in enumerate(self._starts[:-1] or [0]) if start <= row)
        self._first = self._starts[group]
        self._group_end = self._starts[min(group + 1, len(self._starts) - 1)]
        self._batch = ()
        self._batches: Iterator[Any] = self._file.iter_batches(
            _ROWS, row_groups=[group] if self._file.num_row_groups else [], columns=[self._column]
        )


def _refuse_huge(size: int) -> None:
    if size > MAX_BYTES:
        raise UnusableError(f"too large: {size} bytes, at most {MAX_BYTES} are read")
