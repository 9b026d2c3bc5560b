from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.report.axes import Scale, label, ticks

VALUES = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 6))


@given(VALUES, VALUES)
def test_ticks_enclose_the_range_evenly_when_it_is_any(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    found = ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 12
    steps = [after - before for before, after in zip(found, found[1:], strict=False)]
    assert min(steps) > 0
    assert max(steps) - min(steps) <= slack


def test_ticks_are_round_when_the_range_is_not() -> None:
    assert ticks(0.17, 0.66) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert ticks(92.9, 97.8) == [92.0, 93.0, 94.0, 95.0, 96.0, 97.0, 98.0]


def test_ticks_are_refused_when_an_end_is_not_finite() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        ticks(0.0, float("nan"))


def test_scale_maps_ends_to_ends_when_it_is_turned_round() -> None:
    up = Scale(0.0, 10.0, 200.0, 20.0)
    assert (up(0.0), up(10.0), up(5.0)) == (200.0, 20.0, 110.0)
    assert Scale(3.0, 3.0, 0.0, 100.0)(3.0) == 50.0


def test_label_has_no_trailing_zeros_when_the_value_is_round() -> None:
    assert [label(0.30000000000000004), label(20.0), label(1.5)] == ["0.3", "20", "1.5"]
