"""Engine: what the methods of this room have in common, and the work they are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from edgepress.params import Config


class Workers(Config):
    """How many processes train one network together."""

    workers: int = Field(ge=2, le=4096)
    """Processes in all, each with a GPU of its own where there are any; every one takes as many
    images of a step."""


@dataclass(frozen=True)
class Program:
    """A piece of work that every worker does from its beginning, the first one writing."""

    module: str
    """Started by `python -m` it does the work, as a worker where its environment says so."""
    here: Callable[[], None]
    """Does the work in this process, alone."""
    worker: Callable[[int], None]
    """Does the work as the worker of a rank, from 0; can be pickled."""
    folder: Path
    """Where to work, absolute."""
