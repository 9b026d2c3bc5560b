"""Alone: one measurement of a user at a time, since stages in parallel would time each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgepress.progress import Progress

PATIENCE_S = 3600.0
"""Seconds after which a measurement that waits for another gives up."""
_STEP_S = 0.5
_TOLD_S = 5.0


class DisturbedError(Exception):
    """Nothing could be timed undisturbed; the text says why and what to do."""


@contextmanager
def alone(progress: Progress, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the user's one place for timing; waiting is told every five seconds, and ends."""
    path = Path(tempfile.gettempdir()) / f"edgepress-timing-{os.getuid()}.lock"
    with path.open("a") as lock:
        started = time.monotonic()
        told = started
        while not _taken(lock.fileno()):
            now = time.monotonic()
            if now - started > patience_s:
                raise DisturbedError(
                    f"another measurement ran for over {patience_s:.0f} s; validate again when it "
                    "has ended"
                )
            if now - told > _TOLD_S:
                told = now
                progress("waiting for another measurement, s", int(now - started), int(patience_s))
            time.sleep(_STEP_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
