"""CurateJob: what every curation method works on, and the resumable pass over it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.progress import Progress, silent
from edgepress.vectors.blocks import units
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Engine, Span, Task
from edgepress.workers.scratch import Arrays, Work

_log = logging.getLogger(__name__)

SPAN = 8
"""Units a worker takes at a time, unless there are few: 65,536 rows."""


@dataclass(frozen=True)
class CurateJob:
    """Vectors, the seed, where to compute and where to keep what was computed."""

    shards: Shards
    seed: int
    work: Work
    engine: Engine
    span: int = SPAN
    """Units per task; changes memory and speed, never a result."""
    classes: npt.NDArray[np.int64] | None = None
    """Label of each row, for class floors."""
    progress: Progress = silent

    @property
    def rows(self) -> int:
        """Number of vectors."""
        return self.shards.rows

    def on(self, shards: Shards) -> CurateJob:
        """Return the same job on other vectors, without class labels."""
        return replace(self, shards=shards, classes=None)

    def run(
        self,
        name: str,
        task: Task,
        state: Arrays,
        merge: Callable[[Span, Any], None],
        *,
        count: int | None = None,
    ) -> None:
        """Run `task` over all units and `merge` each result into `state` and row files, once.

        With `count` the numbers 0..count are cut into spans in place of units. Progress is saved
        under `name` as the pass goes, and a later run takes it up; `merge` must only add to the
        arrays of `state` or write rows that belong to its span.
        """
        saved = self.work.load(name)
        done = np.zeros(units(self.rows) if count is None else count, np.bool_)
        if saved is not None:
            done[:] = saved.pop("done")
            for key, values in saved.items():
                state[key][...] = values
        last = began = time.monotonic()
        for span, result in self.engine.results(task, list(self._pending(done))):
            merge(span, result)
            done[span[0] : span[1]] = True
            self.progress(name, int(done.sum()), len(done))
            if time.monotonic() - last >= self.work.every:
                self.work.save(name, {**state, "done": done})
                last = time.monotonic()
        self.work.forget(name)
        seconds = time.monotonic() - began
        _log.info("%s: %d rows in %.1f s", name, self.rows, seconds)

    def _pending(self, done: npt.NDArray[np.bool_]) -> Iterator[Span]:
        """Cut the units not yet done into spans, small enough that every worker gets some."""
        left = np.flatnonzero(~done)
        size = max(1, min(self.span, -(-left.size // (4 * self.engine.workers))))
        breaks = np.flatnonzero(np.diff(left) != 1) + 1
        for group in np.split(left, breaks):
            for first in range(0, len(group), size):
                part = group[first : first + size]
                yield int(part[0]), int(part[-1]) + 1
