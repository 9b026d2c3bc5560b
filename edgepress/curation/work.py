"""Work: a scratch folder that remembers finished steps, so that a killed run goes on from there."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.curation.rows import RowFile
from edgepress.errors import UserError

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """A folder for one job on one input; `every` is the seconds between saves inside a pass."""

    folder: Path
    every: float = 30.0

    @classmethod
    def open(cls, parent: Path, key: str, every: float = 30.0) -> Work:
        """Open the folder of `key` below `parent`; an unwritable place is a UserError.

        Folders of other keys below `parent` are what is left of jobs that were given up: they go.
        """
        folder = parent / f"run-{key[:24]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for other in parent.glob("run-*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"{parent}: cannot be written ({error.strerror}); name another place"
            ) from None
        return cls(folder, every)

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
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
