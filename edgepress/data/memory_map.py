"""Memory maps: rows that are made once, read by every stage, and never held all at once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgepress.records.tensors import Arrays

Rows = Callable[[int], Iterator[Arrays]]
"""From a row on, one row of each array after another, always of the same names, shapes, types."""
_BUFFER = 2**20


def mapped(folder: Path, count: int, rows: Rows) -> Arrays:
    """Return read-only arrays [count, ...] by name, from `folder` or made there of `rows(0)`.

    What was killed goes on at the row it came to; another process that makes the same is waited
    for. A folder that was cut off since is made anew. Others of its name up to the last `-` go.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if (found := _opened(folder, count)) is None:
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, count, rows)
            found = _opened(folder, count)
    if found is None:
        raise ValueError(f"{folder}: cannot be read back")
    return found


def given_up(folder: Path) -> None:
    """Remove what there is of a making that came to no end, so that its room is free."""
    with _alone(folder):
        shutil.rmtree(_partial(folder), ignore_errors=True)


def _opened(folder: Path, count: int) -> Arrays | None:
    """Return the arrays of a folder; None where there are none, or not as many whole rows."""
    try:
        found = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    except (ValueError, EOFError):  # cut off
        return None
    return found if found and all(len(each) == count for each in found.values()) else None


def _make(folder: Path, count: int, rows: Rows) -> None:
    kind = folder.name.rpartition("-")[0]
    partial = _partial(folder)
    for old in folder.parent.iterdir():
        if old.is_dir() and old != partial and old.name.lstrip(".").startswith(f"{kind}-"):
            shutil.rmtree(old)
    with ExitStack() as opened:
        files, done = _reopened(partial, count, opened)
        for row in rows(done):
            if not files:
                files = _begin(partial, row, count, opened)
            for name, values in row.items():
                files[name].write(np.ascontiguousarray(values).data)
            done += 1
        if done != count:
            raise ValueError(f"{folder}: {done} rows came, {count} were to come")
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    partial.replace(folder)


def _begin(partial: Path, row: Arrays, count: int, opened: ExitStack) -> dict[str, BinaryIO]:
    """Begin a file for each array; all have their header before any has a row."""
    files: dict[str, BinaryIO] = {}
    for name, values in row.items():
        file = opened.enter_context((partial / f"{name}.npy").open("wb", buffering=_BUFFER))
        header = {
            "descr": np.lib.format.dtype_to_descr(values.dtype),
            "fortran_order": False,
            "shape": (count, *values.shape),
        }
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        files[name] = file
    return files


def _reopened(partial: Path, count: int, opened: ExitStack) -> tuple[dict[str, BinaryIO], int]:
    """Return the files of a making that was killed and the rows that all have; none, 0 if new."""
    begun = {path.stem: _begun(path, count) for path in sorted(partial.glob("*.npy"))}
    done = min((rows for _, _, rows in begun.values()), default=0)
    if done == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        return {}, 0
    files: dict[str, BinaryIO] = {}
    for name, (start, size, _) in begun.items():
        file = opened.enter_context((partial / f"{name}.npy").open("r+b", buffering=_BUFFER))
        file.truncate(start + size * done)
        file.seek(0, os.SEEK_END)
        files[name] = file
    return files, done


def _begun(path: Path, count: int) -> tuple[int, int, int]:
    """Return where a file's rows start, the bytes of one, and how many it has whole."""
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError:  # killed in its header
            return 0, 0, 0
        start = file.tell()
    size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    rows = (path.stat().st_size - start) // size if size and shape[0] == count else 0
    return start, size, rows


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with folder.with_name(f".{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
