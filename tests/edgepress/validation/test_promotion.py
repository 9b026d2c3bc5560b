"""Promotion: what is measurably worse than the champion stays candidate."""

from __future__ import annotations

import pytest

from edgepress.records.measurement import Interval
from edgepress.validation.promotion import Standing, refusal


def standing(value: float, half: float = 0.01, name: str = "accuracy", up: bool = True) -> Standing:
    return Standing(name, Interval(value=value, low=value - half, high=value + half), up)


def test_collapsed_student_is_held_back_with_both_numbers() -> None:
    reason = refusal(standing(0.1), standing(0.995), 0.02)
    assert reason is not None
    assert "accuracy 0.1" in reason
    assert "champion's 0.995" in reason


@pytest.mark.parametrize("value", [0.98, 0.99, 0.999])
def test_version_is_let_through_when_it_is_as_good_within_the_margin(value: float) -> None:
    assert refusal(standing(value), standing(0.99), 0.02) is None


def test_version_is_let_through_when_the_intervals_cannot_tell() -> None:
    assert refusal(standing(0.9, half=0.1), standing(0.99, half=0.05), 0.02) is None


def test_first_version_has_nobody_to_beat_and_another_score_says_nothing() -> None:
    assert refusal(standing(0.1), None, 0.02) is None
    assert refusal(standing(0.1), standing(0.9, name="mean_iou"), 0.02) is None


def test_lower_is_better_is_turned_round() -> None:
    assert refusal(standing(5.0, up=False), standing(1.0, up=False), 0.02) is not None
    assert refusal(standing(0.5, up=False), standing(1.0, up=False), 0.02) is None
