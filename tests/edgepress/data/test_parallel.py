from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edgepress.data.parallel import THREADS, chunks, ordered
from edgepress.errors import UserError


def test_ordered_keeps_the_order_when_later_items_are_quicker() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    assert list(ordered(work, range(40))) == [item * item for item in range(40)]


def test_ordered_reads_only_a_little_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10_000):
            taken.append(item)
            yield item

    results = ordered(lambda item: item, items())
    assert next(results) == 0
    assert len(taken) < 1000


def test_ordered_raises_what_a_worker_raises() -> None:
    def work(item: int) -> int:
        return 1 // (item - 5)

    with pytest.raises(ZeroDivisionError):
        list(ordered(work, range(10)))


def test_chunks_close_by_count_and_by_size() -> None:
    small = [len(chunk) for chunk in chunks(range(150), lambda item: 1)]
    assert small == [64, 64, 22]
    large = list(chunks(range(5), lambda item: 2**21))
    assert large == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("threads", [1, 3])
def test_ordered_works_in_as_many_threads_as_the_environment_names(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREADS, str(threads))
    together = threading.Barrier(threads)  # passed only by as many at once

    def work(item: int) -> str:
        together.wait(timeout=30)
        return threading.current_thread().name

    assert len(set(ordered(work, range(6)))) == threads


@pytest.mark.parametrize("asked", ["0", "two", "-1", "1.5", "100000"])
def test_number_of_threads_is_refused_when_it_is_none(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREADS, asked)
    with pytest.raises(UserError, match=rf"EDGEPRESS_THREADS: .* from 1 to 1024, got '{asked}'"):
        list(ordered(str, [1]))
