"""One number per row in a raw file: what a pass learns about rows never has to fit in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 18
"""Rows that `chunks` holds at a time."""
MAPPED = 1 << 22
"""Bytes of a file that are mapped at a time."""


@dataclass(frozen=True)
class RowFile:
    """A column of `rows` numbers of type `dtype`, zero where nothing was written yet."""

    path: Path
    dtype: np.dtype[Any]
    rows: int

    def __post_init__(self) -> None:
        """Create the file, or keep one of the right size so that a later run can go on with it.

        A disk without room for all rows is an OSError here, and leaves no file.
        """
        size = self.rows * self.dtype.itemsize
        if self.path.is_file() and self.path.stat().st_size == size:
            return
        try:
            with self.path.open("wb") as file:
                _allocate(file.fileno(), size)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise

    def write(self, start: int, values: npt.NDArray[Any]) -> None:
        """Store values for rows start, start + 1, ..."""
        with self.path.open("r+b") as file:
            file.seek(start * self.dtype.itemsize)
            file.write(np.ascontiguousarray(values, self.dtype).tobytes())

    def scatter(self, rows: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        """Store values for single rows, no more than `MAPPED` bytes of the file mapped at a time.

        Mapped pages count as memory of the process: a map of all rows would grow with them.
        """
        order = np.argsort(rows, kind="stable")
        ordered, span = rows[order], MAPPED // self.dtype.itemsize
        for part in np.split(order, np.flatnonzero(np.diff(ordered // span)) + 1):
            if not part.size:
                continue
            first = int(rows[part[0]]) // span * span
            shape, offset = (min(span, self.rows - first),), first * self.dtype.itemsize
            column = np.memmap(self.path, self.dtype, "r+", offset, shape)
            column[rows[part] - first] = values[part]

    def fill(self, value: int) -> None:
        """Store one value for all rows."""
        for start in range(0, self.rows, CHUNK):
            self.write(start, np.full(min(CHUNK, self.rows - start), value, self.dtype))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the values of rows start..stop."""
        offset = start * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, stop - start, offset=offset)

    def chunks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield (first row, values) over all rows in order."""
        for start in range(0, self.rows, CHUNK):
            yield start, self.read(start, min(start + CHUNK, self.rows))


def _allocate(file: int, size: int) -> None:
    """Give an empty file `size` bytes of zeros, with blocks of the disk behind them if it can."""
    # A write to a mapped hole kills the process with SIGBUS where the disk is full by then.
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
        else:
            return
    os.truncate(file, size)
