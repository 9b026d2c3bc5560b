"""One number per row in a raw file: what a pass learns about rows never has to fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK = 1 << 18
"""Rows that `chunks` holds at a time."""


@dataclass(frozen=True)
class RowFile:
    """A column of `rows` numbers of type `dtype`, zero where nothing was written yet."""

    path: Path
    dtype: np.dtype[Any]
    rows: int

    def __post_init__(self) -> None:
        """Create the file, or keep one of the right size so that a later run can go on with it."""
        size = self.rows * self.dtype.itemsize
        if not self.path.is_file() or self.path.stat().st_size != size:
            with self.path.open("wb") as file:
                file.truncate(size)

    def write(self, start: int, values: npt.NDArray[Any]) -> None:
        """Store values for rows start, start + 1, ..."""
        with self.path.open("r+b") as file:
            file.seek(start * self.dtype.itemsize)
            file.write(np.ascontiguousarray(values, self.dtype).tobytes())

    def scatter(self, rows: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        """Store values for single rows; mapped for the length of the call only."""
        column = np.memmap(self.path, self.dtype, "r+", shape=(self.rows,))
        column[rows] = values

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
