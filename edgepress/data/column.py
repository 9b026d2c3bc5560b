"""Column: values of a table that become Python's when they are asked for, and not before.

A million rows as Python objects take a kilobyte each; in Arrow they take what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
_BLOCK = 4096


class Column(Generic[T]):
    """Some rows, in any order, of one column of an Arrow table."""

    def __init__(
        self,
        values: Any,
        rows: npt.NDArray[np.int64] | npt.NDArray[np.int32],
        convert: Callable[[Any], T] = lambda value: value,
    ) -> None:
        """Take an array of Arrow, places in it, and what makes a value of what Arrow gives."""
        self._values, self._rows, self._convert = values, rows, convert

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, index: int) -> T:
        """Return one value."""
        return self._convert(self._values[int(self._rows[index])].as_py())

    def __iter__(self) -> Iterator[T]:
        """Yield all values, a block of rows turned at once where they lie close together."""
        # Slices rather than ChunkedArray.take, which imports pandas (2 s).
        for start in range(0, len(self._rows), _BLOCK):
            rows = self._rows[start : start + _BLOCK]
            first, last = int(rows.min()), int(rows.max())
            if last - first > 8 * _BLOCK:
                yield from (self._convert(self._values[row].as_py()) for row in rows.tolist())
                continue
            held = self._values.slice(first, last - first + 1).to_pylist()
            yield from (self._convert(held[row]) for row in (rows - first).tolist())
