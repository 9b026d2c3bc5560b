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
from pathlib import Path
from typing import TextIO

from edgepress.progress import in_words

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
        """Say what is done, how far and fast it is, and how long it has taken and will take."""
        seconds = now - self.began
        if self.total:
            far = f"{self.done:,} of {self.total:,}"
        else:
            far = f"{self.done:,}" if self.done else ""
        parts = (far, self._rate(seconds), self.note, f"{seconds:.0f} s", self._left(seconds))
        said = ", ".join(part for part in parts if part)
        return f"{title}: {self.what}: {said}"

    def _rate(self, seconds: float) -> str:
        made = self.done - self.start
        return f"{made / seconds:,.3g}/s" if made > 0 and seconds >= 1.0 else ""

    def _left(self, seconds: float) -> str:
        made = self.done - self.start
        if made <= 0 or self.done >= self.total or seconds < 1.0:
            return ""
        return f"about {in_words(seconds / made * (self.total - self.done))} left"


@contextmanager
def lines(title: str, every_s: float | None = None, *, silent: bool = False) -> Iterator[Lines]:
    """Yield what says how far a stage is; it may be told as often as one likes.

    A line is written every `every_s` seconds, by default as suits where standard error goes;
    with `silent`, none.
    """
    if silent:
        with Path(os.devnull).open("w") as nowhere:
            yield Lines(title, nowhere)
        return
    with _own_stderr() as stream:
        yield from _told(title, stream, every_s)


class Lines:
    """Holds what a stage is at, for the thread that speaks, and writes lines that stay."""

    def __init__(self, title: str, stream: TextIO) -> None:
        """Speak of the stage `title` on a stream."""
        self._title, self._stream = title, stream
        self._doing: Doing | None = None
        self._width = 0
        self._writing = threading.Lock()

    def __call__(self, what: str, done: int, total: int, note: str = "", /) -> None:
        """Take how much of `what` is done and how much there is; see edgepress/progress.py."""
        last = self._doing
        if last is None or last.what != what:
            last = Doing(what, done, total, time.monotonic(), done)
        self._doing = Doing(what, done, total, last.began, last.start, note)

    def say(self, line: str) -> None:
        """Write a line that stays."""
        with self._writing:
            self._wipe()
            self._stream.write(f"{self._title}: {line}\n")
            self._stream.flush()

    def speak(self) -> None:
        """Write where the stage is now, if it said so."""
        now = self._doing
        if now is not None:
            with self._writing:
                line = now.line(self._title, time.monotonic())
                self._width = _write(self._stream, line, self._width)

    def wipe(self) -> None:
        """Leave a terminal's line empty."""
        with self._writing:
            self._wipe()

    def _wipe(self) -> None:
        if self._width:
            self._width = _write(self._stream, "", self._width)


def _told(title: str, stream: TextIO, every_s: float | None) -> Iterator[Lines]:
    if every_s is None:
        every_s = TERMINAL_EVERY_S if stream.isatty() else EVERY_S
    told = Lines(title, stream)
    over = threading.Event()

    def speak() -> None:
        while not over.wait(every_s):
            told.speak()
        told.wipe()

    speaker = threading.Thread(target=speak, name="progress", daemon=True)
    speaker.start()
    try:
        yield told
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
