"""Columns: those of a manifest's table, each read when it is asked for and shared while in use.

A million rows whole take 184 MB; what a training asks of each image again and again is a third.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pyarrow as pa

from edgepress.data.table import open_table, unreadable

BEGINNING = 16
"""Bytes of a sha256 that are held for each image: 128 bits miss no change by chance."""


class Columns:
    """A manifest's table that stays open: one written in its place changes nothing here."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Open the table, which has these columns; a missing or damaged one is a UserError."""
        self._folder, self._file = folder, open_table(folder, names)
        self._read: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._prefix: str | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._file.metadata.num_rows)

    def __getitem__(self, name: str) -> Any:
        """Return a column (pyarrow)."""
        return self._kept(name, name, lambda part: part)

    def beginnings(self) -> Any:
        """Return the first `BEGINNING` bytes of each sha256 (pyarrow)."""
        kind = pa.binary(BEGINNING)
        return self._kept("", "sha256", lambda part: pa.array(map(_begin, part.to_pylist()), kind))

    def paths(self) -> tuple[str, Any]:
        """Return what all paths begin with, and what follows in each (pyarrow)."""
        if self._prefix is None:
            parts = (list(filter(None, part.to_pylist())) for part in self._parts("path"))
            self._prefix = commonprefix([commonprefix(part) for part in parts if part])
        prefix, kind = self._prefix, pa.string()

        def rest(part: Any) -> Any:
            return pa.array((each and each[len(prefix) :] for each in part.to_pylist()), kind)

        return prefix, self._kept("/", "path", rest)

    def _kept(self, key: str, name: str, made: Callable[[Any], Any]) -> Any:
        with self._lock:
            if (found := self._read.get(key)) is None:
                parts = [made(part) for part in self._parts(name)]
                if all(part.null_count == len(part) for part in parts):
                    parts = [pa.nulls(len(self))]  # which take no memory
                found = self._read[key] = pa.chunked_array(parts)
                # Else what reading took for a moment stays with the process.
                pa.default_memory_pool().release_unused()
            return found

    def _parts(self, name: str) -> Iterator[Any]:
        """Yield a column a row group at a time."""
        try:
            for group in range(self._file.num_row_groups):
                table = self._file.read_row_group(group, [name], use_threads=False)
                yield from table[name].chunks
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self._folder, error) from None


def _begin(digest: str | None) -> bytes | None:
    return None if digest is None else bytes.fromhex(digest[: 2 * BEGINNING])
