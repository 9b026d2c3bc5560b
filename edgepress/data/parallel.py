"""Threads with order kept and memory bounded: Pillow decodes and hashlib hashes outside the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from edgepress.errors import UserError

THREADS = "EDGEPRESS_THREADS"
"""Names how many threads read and decode. It changes no result, so it is no parameter."""

T = TypeVar("T")
R = TypeVar("R")


def ordered(function: Callable[[T], R], items: Iterable[T], ahead: int = 0) -> Iterator[R]:
    """Yield function(item) in the order of `items`, at most a few, or `ahead`, before they are due.

    Items are taken by the consumer's thread, as many before.
    """
    workers = threads()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > max(ahead, 2 * workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def threads() -> int:
    """Return how many threads `EDGEPRESS_THREADS` asks for, else one for each core we may use."""
    asked = os.environ.get(THREADS)
    if asked:
        if not (asked.isdecimal() and 1 <= int(asked) <= 1024):
            raise UserError(
                f"{THREADS}: expected a number of threads from 1 to 1024, got {asked!r}"
            )
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunks(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Group items into lists of at most 64 items or about 4 MiB by `size` (bytes)."""
    chunk: list[T] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += size(item)
        if len(chunk) >= 64 or held >= 2**22:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk
