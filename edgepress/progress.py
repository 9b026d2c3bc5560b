"""Progress: how long work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is; 0 is not known."""

B = TypeVar("B", bound=Sized)


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def counted(batches: Iterable[B], what: str, total: int, progress: Progress) -> Iterator[B]:
    """Yield batches of items as they come, telling how many items of `total` are through."""
    done = 0
    progress(what, done, total)
    for batch in batches:
        yield batch
        done += len(batch)
        progress(what, done, total)
