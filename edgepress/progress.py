"""Progress: how long work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

B = TypeVar("B", bound=Sized)


class Progress(Protocol):
    """Told what is being done, how far it is, and how well it goes."""

    def __call__(self, what: str, done: int, total: int, note: str = "", /) -> None:
        """Take how much of `what` is done and how much there is; 0 is not known."""
        ...


def silent(what: str, done: int, total: int, note: str = "", /) -> None:
    """Tell nobody."""


def counted(batches: Iterable[B], what: str, total: int, progress: Progress) -> Iterator[B]:
    """Yield batches of items as they come, telling how many items of `total` are through."""
    done = 0
    progress(what, done, total)
    for batch in batches:
        yield batch
        done += len(batch)
        progress(what, done, total)
