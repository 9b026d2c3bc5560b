"""Engines run a task over spans of units; in which order and where changes no result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from threadpoolctl import ThreadpoolController

Span = tuple[int, int]
"""First unit and end of a run of units (or of other numbered work)."""
Task = Callable[[int, int], Any]


class Engine(Protocol):
    """Something that can run a picklable task over spans."""

    @property
    def workers(self) -> int:
        """How many spans run at a time."""
        ...

    def results(self, task: Task, spans: Sequence[Span]) -> Iterator[tuple[Span, Any]]:
        """Yield (span, task(*span)) for every span, in any order, holding a few at a time."""
        ...


def single_threaded() -> AbstractContextManager[Any]:
    """Hold matrix products to one thread: one that is split over threads may round differently."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> Any:
    # Looking for the libraries takes 10 ms and more, too long to do it before every small product.
    return ThreadpoolController()


@dataclass(frozen=True)
class Local:
    """Threads of this process, each with a single-threaded matrix product."""

    workers: int = 1

    def results(self, task: Task, spans: Sequence[Span]) -> Iterator[tuple[Span, Any]]:
        """Yield results in order; a thread waits for the reader rather than piling results up."""
        if min(self.workers, len(spans)) == 1:
            for only in spans:
                with single_threaded():
                    result = task(*only)
                yield only, result
            return
        with single_threaded(), ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[tuple[Span, Future[Any]]] = deque()
            todo = iter(spans)
            try:
                while True:
                    while len(waiting) < 2 * self.workers and (span := next(todo, None)):
                        waiting.append((span, pool.submit(task, *span)))
                    if not waiting:
                        return
                    span, future = waiting.popleft()
                    yield span, future.result()
            finally:
                for _, future in waiting:
                    future.cancel()
