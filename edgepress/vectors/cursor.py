"""Cursor: rows of a file that decodes forward only (deflate, Parquet), a bounded run at a time.

A thread that reads on where it stopped goes on with the same stream; one that wants an earlier
row starts the stream again. Rows between two reads are decoded and dropped.
"""

from __future__ import annotations

import lzma
import threading
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from edgepress.errors import UserError

RUN = 1 << 18
"""Components a decoded run holds at most, but at least one row."""
DAMAGE = (
    OSError, ValueError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, pa.ArrowException,
)  # fmt: skip
"""What the readers of .npy, .npz and Parquet raise on a file that is not whole."""

Rows = npt.NDArray[np.floating[Any]]


def run_rows(width: int) -> int:
    """Return the rows of one run of vectors of `width` components."""
    return max(1, RUN // width)


def reason(error: BaseException) -> str:
    """Return the first line of what a reader says, for a message of ours."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class Cursor:
    """A stream of decoded runs, of which one is held; rows are counted from the file's first."""

    def __init__(self, path: Path, first: int, runs: Iterator[Rows]) -> None:
        """Stand before row `first`, with which the first of `runs` begins."""
        self._path = path
        self._runs = runs
        self._first = first
        self._held: Rows | None = None
        self._start = self._stop = first

    def reaches(self, row: int) -> bool:
        """Tell whether `row` is held or still ahead."""
        return row >= self._start

    def read(self, start: int, stop: int) -> Rows:
        """Return rows start..stop, [stop - start, width]; what cannot be decoded is a UserError."""
        parts = []
        while start < stop:
            while self._stop <= start:
                self._advance()
            last = min(stop, self._stop)
            assert self._held is not None
            parts.append(self._held[start - self._start : last - self._start])
            start = last
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _advance(self) -> None:
        self._held = None
        try:
            run = next(self._runs, None)
        except DAMAGE as error:
            # A checksum covers all that was decoded, so the damage may lie before this run.
            raise UserError(
                f"{self._path}: row {self._first} on: cannot be decoded ({reason(error)}); "
                "write the shard again"
            ) from None
        if run is None:
            raise UserError(
                f"{self._path}: row {self._stop}: the file ends early; write the shard again"
            )
        self._held = run
        self._start, self._stop = self._stop, self._stop + len(run)


_thread = threading.local()


def read(key: Hashable, start: int, stop: int, begin: Callable[[], Cursor]) -> Rows:
    """Return rows start..stop from the thread's cursor if it is that of `key`, else from a new one.

    A thread has one cursor: another key, an earlier row or an error closes its file.
    """
    last, cursor = _thread.__dict__.pop("cursor", (None, None))
    if cursor is None or last != key or not cursor.reaches(start):
        cursor = None  # closed before the next one opens
        cursor = begin()
    rows: Rows = cursor.read(start, stop)
    _thread.cursor = (key, cursor)
    return rows
