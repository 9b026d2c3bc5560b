"""Session: one loaded export that answers an image at a time; NotHere: this host cannot run it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edgepress.errors import UserError
from edgepress.records.exported import Exported
from edgepress.records.record import sha256_file
from edgepress.records.tensors import Arrays, Tensors


class Session(Protocol):
    """A model in memory; a file with int8 borders or another layout is converted inside `run`."""

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs by name for one item's inputs by name, as exported.json has them."""
        ...

    def close(self) -> None:
        """Free what the session holds; it must not be used afterwards."""
        ...


class NotHere(Exception):  # noqa: N818 (a state of the host, not a failure)
    """Raised by a runtime's `load` where this host cannot run the target, with the reason.

    Such a target is marked not-run, never passed. A runtime whose graph can be checked elsewhere
    offers `stand_in(folder, exported, *, params) -> Session`: evidence for the graph alone.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason, one sentence a person can act on."""
        super().__init__(reason)
        self.reason = reason


def entry(folder: Path, exported: Exported) -> Path:
    """Return the path the runtime opens, after comparing every file with its sha256.

    A missing or changed file is a UserError.
    """
    for file in exported.files:
        path = folder / file.path
        if not path.is_file():
            raise UserError(f"{path}: file not found; export {exported.target} again")
        if sha256_file(path) != file.sha256:
            raise UserError(
                f"{path}: changed since it was exported; export {exported.target} again"
            )
    return folder / exported.part.entry
