"""Progress: how long work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Protocol, TypeVar

B = TypeVar("B", bound=Sized)


class Progress(Protocol):
    """Told what is being done, how far it is, and how well it goes."""

    def __call__(self, what: str, done: int, total: int, note: str = "", /) -> None:
        """Take how much of `what` is done and how much there is; 0 is not known."""
        ...


def silent(what: str, done: int, total: int, note: str = "", /) -> None:
    """Tell nobody."""


Say = Callable[[str], None]
"""Takes a line that stays: what came of a part of the work, not where it is now."""


def unsaid(line: str) -> None:
    """Say nothing."""


def unheard(record: dict[str, float]) -> None:
    """Forget it."""


def in_words(seconds: float) -> str:
    """Write a time that is left: seconds, from two minutes on minutes, from two hours on hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def counted(batches: Iterable[B], what: str, total: int, progress: Progress) -> Iterator[B]:
    """Yield batches of items as they come, telling how many items of `total` are through."""
    done = 0
    progress(what, done, total)
    for batch in batches:
        yield batch
        done += len(batch)
        progress(what, done, total)
