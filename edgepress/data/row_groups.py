"""Row groups: encoded images of Parquet files by place, the groups that are in use held.

A row group is decompressed as a whole: rows in any order at all would cost a group each. Who reads
them in windows of a few groups (`edgepress/training/windows.py`) reads every group once an epoch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.image_column import encoded, image_problem
from edgepress.data.picture import UnusableError

HELD = 2**28
"""Bytes of encoded images that are held at a time, and never less than one group."""


@dataclass(frozen=True)
class Stored:
    """In which row group each image lies, and how large the groups are."""

    group: npt.NDArray[np.int32]
    """[N], counted over all files in the order in which images first name them."""
    sizes: npt.NDArray[np.int64]
    """Bytes of each group's images, uncompressed."""


class RowGroups:
    """Parquet files below a folder, read a row group at a time, by any number of threads."""

    def __init__(self, root: Path, column: str) -> None:
        """Read the images of `column`."""
        self._root, self._column = root, column
        self._held: OrderedDict[tuple[str, int], Future[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._layout = cache(self._read_layout)

    def stored(self, places: Iterable[tuple[str, int]]) -> Stored:
        """Return where images of these files and rows lie; no such file is `UnusableError`."""
        first: dict[str, int] = {}
        sizes: list[npt.NDArray[np.int64]] = []
        numbers = []
        for path, run in groupby(places, lambda place: place[0]):
            starts, bytes_ = self._layout(path)
            if path not in first:
                first[path] = sum(map(len, sizes))
                sizes.append(bytes_)
            rows = np.fromiter((row for _, row in run), np.int64)
            numbers.append(first[path] + np.searchsorted(starts, rows, "right") - 1)
        return Stored(np.concatenate(numbers).astype(np.int32), np.concatenate(sizes))

    def read(self, path: str, row: int) -> bytes:
        """Return a row's encoded image; what is missing or unreadable is `UnusableError`."""
        starts, _ = self._layout(path)
        group = int(np.searchsorted(starts, row, "right")) - 1
        if not 0 <= row < starts[-1]:
            raise UnusableError(f"cannot be read: row {row} of {starts[-1]} rows")
        data: bytes | None = self._group(path, group)[int(row - starts[group])].as_py()
        if data is None:
            raise UnusableError("empty: the row holds no bytes")
        return data

    def _group(self, path: str, group: int) -> Any:
        """Return a group's images, read by the first thread that asks; the others wait for it."""
        key = path, group
        with self._lock:
            future = self._held.get(key)
            mine = future is None
            if future is None:
                future = self._held[key] = Future()
                self._bytes += self._size(*key)
                self._let_go()
            self._held.move_to_end(key)
        if mine:
            try:
                future.set_result(self._load(path, group))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _let_go(self) -> None:
        """Forget the groups that were not asked for the longest, down to what may be held."""
        while self._bytes > HELD and len(self._held) > 1:
            oldest, _ = self._held.popitem(last=False)
            self._bytes -= self._size(*oldest)

    def _size(self, path: str, group: int) -> int:
        return int(self._layout(path)[1][group])

    def _load(self, path: str, group: int) -> Any:
        try:
            with pq.ParquetFile(self._root / path, memory_map=True) as file:
                table = file.read_row_group(group, [self._column])
        except (OSError, pa.ArrowException) as error:
            said = getattr(error, "strerror", None) or error
            raise UnusableError(f"cannot be read: {said} ({path})") from None
        return encoded(table, self._column)

    def _read_layout(self, path: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return where a file's row groups start, its end last, and the bytes of their images."""
        try:
            with pq.ParquetFile(self._root / path, memory_map=True) as file:
                problem = image_problem(file.schema_arrow, self._column)
                if problem is not None:
                    raise UnusableError(f"cannot be read: {problem} ({path})")
                groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        except (OSError, pa.ArrowException) as error:
            said = getattr(error, "strerror", None) or error
            raise UnusableError(f"cannot be read: {said} ({path})") from None
        starts = np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64)
        return starts, np.array([_bytes(group, self._column) for group in groups], np.int64)


def _bytes(group: Any, column: str) -> int:
    """Return the uncompressed bytes of a column, all parts of a struct, in a group's metadata."""
    parts = (group.column(number) for number in range(group.num_columns))
    return sum(
        part.total_uncompressed_size
        for part in parts
        if part.path_in_schema == column or part.path_in_schema.startswith(f"{column}.")
    )
