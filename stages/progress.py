"""Progress of a stage: a bar on a terminal, else a line every few seconds on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgepress.progress import Progress

EVERY_S = 5.0
"""Seconds between two lines; what ends sooner says nothing."""


@contextmanager
def lines(title: str) -> Iterator[Progress]:
    """Yield what says how far the stage is, what it does, and how long it will take."""
    started = told = time.monotonic()
    doing = ""
    width = 0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal started, told, doing, width
        now = time.monotonic()
        if what != doing:
            doing, started = what, now
        if now - told < (0.2 if sys.stderr.isatty() else EVERY_S):
            return
        told = now
        line = f"{title}: {what}: {done} of {total}{_left(now - started, done, total)}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line:<{width}}")
            width = len(line)
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        if width:
            sys.stderr.write(f"\r{'':<{width}}\r")
            sys.stderr.flush()


def _left(seconds: float, done: int, total: int) -> str:
    if not 0 < done < total or seconds < 1.0:
        return ""
    return f", about {seconds / done * (total - done):.0f} s left"
