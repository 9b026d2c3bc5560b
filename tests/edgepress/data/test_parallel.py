from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edgepress.data.parallel import chunks, ordered


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
