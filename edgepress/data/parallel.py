"""Threads with order kept and memory bounded: Pillow decodes and hashlib hashes outside the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered(function: Callable[[T], R], items: Iterable[T], ahead: int = 0) -> Iterator[R]:
    """Yield function(item) in the order of `items`, at most a few, or `ahead`, before they are due.

    Items are taken by the consumer's thread, as many before.
    """
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > max(ahead, 2 * (workers or 1)):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


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
