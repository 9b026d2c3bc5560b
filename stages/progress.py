"""Progress of a stage on standard error: one line that moves on a terminal, else one now and then.

A thread of its own speaks, so that also work without steps to count says that it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from edgepress.progress import Progress

EVERY_S = 5.0
"""Seconds between two lines; what ends sooner says nothing."""
TERMINAL_EVERY_S = 1.0
"""The same where the line is written over."""


@dataclass(frozen=True)
class Doing:
    """What a stage is at since `began`, in seconds of a steady clock."""

    what: str
    done: int
    total: int
    """Of `done`; 0 where it cannot be known."""
    began: float
    start: int = 0
    """What was done already when it began: a run that was resumed."""
    note: str = ""
    """How well it goes."""

    def line(self, title: str, now: float) -> str:
        """Say what is done, how far it is, and how long it has taken and will take."""
        seconds = now - self.began
        if self.total:
            far = f"{self.done:,} of {self.total:,}"
        else:
            far = f"{self.done:,}" if self.done else ""
        parts = (far, self.note, f"{seconds:.0f} s", self._left(seconds))
        said = ", ".join(part for part in parts if part)
        return f"{title}: {self.what}: {said}"

    def _left(self, seconds: float) -> str:
        made = self.done - self.start
        if made <= 0 or self.done >= self.total or seconds < 1.0:
            return ""
        return f"about {seconds / made * (self.total - self.done):.0f} s left"


@contextmanager
def lines(title: str, every_s: float | None = None) -> Iterator[Progress]:
    """Yield what says how far a stage is; it may be told as often as one likes.

    A line is written every `every_s` seconds, by default as suits where standard error goes.
    """
    with _own_stderr() as stream:
        yield from _told(title, stream, every_s)


def _told(title: str, stream: TextIO, every_s: float | None) -> Iterator[Progress]:
    terminal = stream.isatty()
    if every_s is None:
        every_s = TERMINAL_EVERY_S if terminal else EVERY_S
    doing: list[Doing] = []
    over = threading.Event()

    def tell(what: str, done: int, total: int, note: str = "", /) -> None:
        last = doing[-1] if doing else None
        if last is None or last.what != what:
            last = Doing(what, done, total, time.monotonic(), done)
        doing[:] = [Doing(what, done, total, last.began, last.start, note)]

    def speak() -> None:
        width = 0
        while not over.wait(every_s):
            for now in doing[:1]:
                width = _write(stream, now.line(title, time.monotonic()), width)
        if width:
            _write(stream, "", width)

    speaker = threading.Thread(target=speak, name="progress", daemon=True)
    speaker.start()
    try:
        yield tell
    finally:
        over.set()
        speaker.join()


@contextmanager
def _own_stderr() -> Iterator[TextIO]:
    """Yield standard error as it is now: what exporters call is kept quiet by redirecting it."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # a stream in memory has none
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w", errors="replace") as stream:
        yield stream


def _write(stream: TextIO, line: str, width: int) -> int:
    """Write a line, over the one before of `width` characters on a terminal; return its width."""
    terminal = stream.isatty()
    if terminal:
        stream.write(f"\r{line:<{width}}" + ("" if line else "\r"))
    else:
        stream.write(f"{line}\n")
    stream.flush()
    return len(line) if terminal else 0
