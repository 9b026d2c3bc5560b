"""Work: a scratch folder that remembers finished steps, so that a killed run goes on from there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import weakref
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.workers.rows import RowFile

Arrays = dict[str, npt.NDArray[Any]]


class Lock:
    """A file held by one process at a time; one that is killed lets go of it by itself."""

    def __init__(self, path: Path, handle: int) -> None:
        """Use `take`; `handle` is the open file, closed with this at the latest."""
        self.path = path
        self._close = weakref.finalize(self, os.close, handle)

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Create and hold the file; BlockingIOError where it is held, OSError where none can be."""
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one who held it before may have removed the file after it was opened here.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(path.stat(), os.fstat(handle)):
                        return cls(path, handle)
            except OSError:
                os.close(handle)
                raise
            os.close(handle)

    def release(self) -> None:
        """Let go of the file."""
        self._close()

    def remove(self) -> None:
        """Remove the file and let go of it; does nothing where it is held no longer."""
        if self._close.alive:
            self.path.unlink(missing_ok=True)
            self.release()


@dataclass(frozen=True)
class Work:
    """A folder for one job on one input; `every` is the seconds between saves inside a pass."""

    folder: Path
    every: float = 30.0
    lock: Lock | None = field(default=None, repr=False, compare=False)
    """Keeps other processes out until `release` or `remove`; None for folders inside another."""

    @classmethod
    def open(cls, parent: Path, key: str, every: float = 30.0) -> Work:
        """Open the folder of `key` below `parent`; an unwritable place is a UserError.

        So is a folder that another process works in. Folders of other keys in which none does are
        what is left of jobs that were given up: they go.
        """
        folder = parent / f"run-{key[:24]}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            lock = _own(folder)
            folder.mkdir(exist_ok=True)
            if lock is not None:
                _remove_given_up(parent, folder.name)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"{parent}: cannot be written ({error.strerror}); name another place"
            ) from None
        return cls(folder, every, lock)

    def below(self, name: str) -> Work:
        """Return a folder inside this one."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Work(folder, self.every)

    def rows(self, name: str, dtype: npt.DTypeLike, rows: int) -> RowFile:
        """Return the row file of that name, created if need be."""
        return RowFile(self.folder / f"{name}.rows", np.dtype(dtype), rows)

    def step(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of step `name`: read if an earlier run finished it, else computed."""
        done = self.load(name)
        if done is None:
            done = compute()
            self.save(name, done)
        return done

    def load(self, name: str) -> Arrays | None:
        """Return what was saved under `name`, None if nothing (whole) is there."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, arrays: Arrays) -> None:
        """Save arrays under `name`, whole or not at all."""
        partial = self.folder / f".{name}.partial.npz"
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        partial.replace(self.folder / f"{name}.npz")

    def forget(self, *names: str) -> None:
        """Remove saved steps and scratch files by name."""
        for name in names:
            (self.folder / f"{name}.npz").unlink(missing_ok=True)
            (self.folder / name).unlink(missing_ok=True)

    def remove_unless_begun(self) -> None:
        """Remove the folder, and those above it that are empty then, where no step was finished."""
        if any(self.folder.glob("*.npz")):
            return
        self.remove()
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()

    def remove(self) -> None:
        """Remove the folder and its lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.lock is not None:
            self.lock.remove()

    def release(self) -> None:
        """Let other processes open the folder; what is in it stays."""
        if self.lock is not None:
            self.lock.release()


def _own(folder: Path) -> Lock | None:
    """Hold the lock of a folder, None on storage that knows no locks; UserError if it is held."""
    try:
        return Lock.take(_beside(folder))
    except BlockingIOError:
        raise UserError(
            f"{folder}: another process runs this job there; wait until it ends, or stop it"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        _beside(folder).unlink(missing_ok=True)
        return None


def _remove_given_up(parent: Path, own: str) -> None:
    """Remove the folders of other keys that no process holds; those that cannot be held stay."""
    for name in {path.name.removesuffix(".lock") for path in parent.glob("run-*")} - {own}:
        with contextlib.suppress(OSError):
            lock = Lock.take(_beside(parent / name))
            shutil.rmtree(parent / name, ignore_errors=True)
            lock.remove()


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
