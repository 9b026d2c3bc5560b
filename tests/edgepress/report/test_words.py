from __future__ import annotations

import pytest

from edgepress.records.measurement import Interval
from edgepress.report import words


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.size(999), "999 B"),
        (words.size(98_400), "98.4 kB"),
        (words.size(4_334_888), "4.33 MB"),
        (words.count(1_260), "1\u202f260"),
        (words.count(9_463_960), "9.46 M"),
        (words.percent(0.9778), "97.78 %"),
        (words.milliseconds(0.4123), "0.412 ms"),
        (words.milliseconds(1234.5), "1234 ms"),
        (words.points(-0.00001), "+0.00"),
        (words.points(0.015), "+1.50"),
        (words.times(1.5), "1.50×"),
        (words.duration(59.94), "59.9 s"),
        (words.duration(357.0), "5 min 57 s"),
        (words.gate_value(0.0579, "share"), "5.79 %"),
        (words.between(Interval(value=1, low=0.9, high=1.1)), "0.9 to 1.1"),
    ],
)
def test_values_are_written_with_units_when_known(written: str, expected: str) -> None:
    assert written == expected


def test_a_dash_is_written_when_a_value_is_unknown() -> None:
    writers = (words.size, words.count, words.percent, words.milliseconds, words.times)
    assert {write(None) for write in writers} == {words.ABSENT}
