"""Sufficiency: the numbers said before training are those at which the gates start to pass."""

from __future__ import annotations

import pytest

from edgepress import intervals
from edgepress.validation.gates import Gates
from edgepress.validation.sufficiency import items_for_drop, items_for_score, shortfalls

GATES = Gates(
    max_drop=0.02,
    min_score={"accuracy": 0.9},
    min_class_score=0.5,
    max_error={"fp32": 0.001},
    min_agreement={"fp32": 0.999},
    min_speedup=1.0,
)


@pytest.mark.parametrize("bound", [0.01, 0.02, 0.1])
def test_drop_can_be_bounded_from_the_number_said_on(bound: float) -> None:
    needed = items_for_drop(bound, 0.95)
    assert intervals.paired_drop(0, 0, needed, 0.95).high < bound
    assert intervals.paired_drop(0, 0, needed - 1, 0.95).high >= bound


def test_two_points_need_about_190_items() -> None:
    assert 180 <= items_for_drop(0.02, 0.95) <= 200


@pytest.mark.parametrize("bound", [0.5, 0.9, 0.99])
def test_score_can_be_proven_from_the_number_said_on(bound: float) -> None:
    needed = items_for_score(bound, 0.95)
    assert intervals.share(needed, needed, 0.95).low > bound
    assert intervals.share(needed - 1, needed - 1, 0.95).low <= bound


def test_nothing_is_said_when_the_split_is_large_enough() -> None:
    assert shortfalls(500, {"cat": 250, "dog": 250}, GATES, 0.95) == []


def test_every_bound_that_cannot_be_proven_is_named() -> None:
    lines = shortfalls(30, {"cat": 28, "dog": 2}, GATES, 0.95)
    assert len(lines) == 3
    assert "gates.min_score.accuracy 0.9 needs 35 test items" in lines[0]
    assert "'dog' has 2" in lines[1]
    assert "gates.max_drop 0.02 needs" in lines[2]
