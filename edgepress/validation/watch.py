"""Watch: the clock of a measurement, and whether other programs took the processor meanwhile."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.intervals import Floats

Call = Callable[[], object]

WAITED = 0.02
"""Share of a block that its threads may spend waiting for a processor."""
_THREADS = Path("/proc/self/task")


def waited_ns() -> int | None:
    """Return how long this process's threads stood ready without a processor; None if not told.

    A runtime with threads of its own is seldom preempted: its thread sleeps between runs, and what
    delays it is the wait for a processor once it is woken.
    """
    found: int | None = None
    for path in _THREADS.glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            found = (found or 0) + int(path.read_text().split()[1])
    return found


def preemptions() -> int:
    """Return how often this process lost its processor to another."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


@dataclass(frozen=True)
class Watch:
    """What is read of the machine while it is timed; tests give their own."""

    clock: Callable[[], int] = time.perf_counter_ns
    """Nanoseconds."""
    waited: Callable[[], int | None] = waited_ns
    preempted: Callable[[], int] = preemptions
    load: Callable[[], float] = lambda: os.getloadavg()[0]

    def block(self, call: Call, runs: int) -> tuple[Floats, bool]:
        """Return milliseconds of each run, and whether no other program stood in their way.

        Time spent waiting is judged by its share, so that a long run on a quiet machine, which is
        interrupted now and then for a moment, counts as undisturbed, and a short one does not slip
        through because it is short. Where the kernel does not tell it, preemptions are counted.
        """
        waited, preempted = self.waited(), self.preempted()
        times = self.timed(call, runs)
        after = self.waited()
        if waited is None or after is None:
            return times, self.preempted() == preempted
        return times, (after - waited) / 1e6 <= WAITED * float(times.sum())

    def timed(self, call: Call, runs: int) -> Floats:
        """Return milliseconds of each run."""
        clock = self.clock
        stamps = [clock()]
        for _ in range(runs):
            call()
            stamps.append(clock())
        nanoseconds = np.array(stamps, np.int64)
        return (nanoseconds[1:] - nanoseconds[:-1]) / 1e6
