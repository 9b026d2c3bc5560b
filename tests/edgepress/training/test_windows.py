"""Orders that keep what is stored together near together."""

from __future__ import annotations

import numpy as np
import pytest

from edgepress.data.row_groups import Stored
from edgepress.training import windows
from edgepress.training.windows import windowed

ROWS, GROUPS = 1000, 50
STORED = Stored(
    np.repeat(np.arange(GROUPS, dtype=np.int32), ROWS // GROUPS), np.full(GROUPS, 10, np.int64)
)


def order(epoch: int) -> np.ndarray:
    return np.random.default_rng([0, epoch]).permutation(ROWS)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> int:
    """Seven groups may be held at a time."""
    monkeypatch.setattr(windows, "HELD", 75)
    return 7


def test_order_is_as_it_was_when_all_may_be_held_or_nothing_is_stored_together() -> None:
    assert windowed(order(0), STORED, [0, 0]) is not None
    np.testing.assert_array_equal(windowed(order(0), STORED, [0, 0]), order(0))
    np.testing.assert_array_equal(windowed(order(0), None, [0, 0]), order(0))


def test_every_group_is_in_one_window_when_not_all_may_be_held(held: int) -> None:
    found = windowed(order(0), STORED, [0, 0])
    assert sorted(found) == list(range(ROWS))
    groups = STORED.group[found]
    size = held * ROWS // GROUPS
    parts = [set(groups[start : start + size].tolist()) for start in range(0, ROWS, size)]
    assert [len(part) for part in parts] == [7] * 7 + [1]
    assert sum(map(len, parts)) == GROUPS
    assert len(set(groups[:20].tolist())) > 4  # and mixed within


def test_rows_keep_their_drawn_order_within_a_window_and_come_as_often(held: int) -> None:
    again = np.random.default_rng(5).integers(0, ROWS, ROWS)  # as samplers draw: some rows twice
    found = windowed(again, STORED, [0, 3])
    assert sorted(found) == sorted(again)
    first = STORED.group[found[:1]]
    window = set(STORED.group[found[: held * 10]].tolist())
    assert first[0] in window
    expected = [row for row in again if STORED.group[row] in window]
    np.testing.assert_array_equal(found[: len(expected)], expected)


def test_windows_are_others_in_another_epoch_and_the_same_in_the_same(held: int) -> None:
    del held
    one = windowed(order(0), STORED, [0, 0])
    np.testing.assert_array_equal(one, windowed(order(0), STORED, [0, 0]))
    assert set(one[:140]) != set(windowed(order(0), STORED, [0, 1])[:140])


def test_a_group_larger_than_may_be_held_is_a_window_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "HELD", 5)
    groups = STORED.group[windowed(order(0), STORED, [0, 0])]
    assert (np.diff(groups) != 0).sum() == GROUPS - 1
