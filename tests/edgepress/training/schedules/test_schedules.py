from __future__ import annotations

import math
from typing import Any

import pytest

from edgepress.errors import UserError
from edgepress.methods import Method, resolve


def _schedule(**entry: Any) -> Method:
    return resolve("training.schedules", entry, "test", "schedule")


def _before(done: float) -> float:
    """The loop's only schedule, as it was written before there was a room of them."""
    if done < 0.15:
        return done / 0.15
    return 0.5 * (1 + math.cos(math.pi * (done - 0.15) / (1 - 0.15)))


@pytest.mark.parametrize("total", [1, 7, 60, 1000])
def test_one_cycle_is_what_it_was_to_the_bit_when_it_rises_for_15_percent(total: int) -> None:
    schedule = _schedule(method="one_cycle", warmup=0.15)
    for step in range(total):
        assert schedule((step + 1) / total) == _before((step + 1) / total)


@pytest.mark.parametrize(
    ("entry", "shares"),
    [
        ({"method": "one_cycle", "warmup": 0.5}, {0.25: 0.5, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0}),
        (
            {"method": "cosine", "warmup": 0.2, "floor": 0.1, "cycles": 1},
            {0.1: 0.5, 0.2: 1.0, 0.6: 0.55, 1.0: 0.1},
        ),
        (
            {"method": "cosine", "warmup": 0.0, "floor": 0.0, "cycles": 2},
            {0.0: 1.0, 0.25: 0.5, 0.5: 0.0, 0.75: 0.5, 1.0: 0.0},
        ),
        (
            {"method": "step", "warmup": 0.1, "at": [0.5, 0.75], "factor": 0.1},
            {0.05: 0.5, 0.1: 1.0, 0.5: 1.0, 0.51: 0.1, 0.75: 0.1, 0.76: 0.01, 1.0: 0.01},
        ),
        ({"method": "constant", "warmup": 0.1}, {0.05: 0.5, 0.1: 1.0, 1.0: 1.0}),
        ({"method": "constant", "warmup": 0}, {0.001: 1.0, 1.0: 1.0}),
    ],
    ids=lambda part: part.get("method", "") if isinstance(part, dict) else "",
)
def test_rate_is_the_share_of_the_peak_when_asked_at_a_share_of_the_run(
    entry: dict[str, Any], shares: dict[float, float]
) -> None:
    schedule = _schedule(**entry)
    assert {done: schedule(done) for done in shares} == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"method": "one_cycle", "warmup": 1.5}, "schedule.warmup: .*less than 1 .got 1.5"),
        ({"method": "step", "warmup": 0.0, "at": [0.9, 0.5], "factor": 0.1}, "shares that rise"),
        ({"method": "step", "warmup": 0.0, "at": [], "factor": 0.1}, "schedule.at: .*at least 1"),
        ({"method": "cosine", "warmup": 0.0, "floor": 2, "cycles": 1}, "schedule.floor"),
    ],
)
def test_schedule_is_refused_when_a_value_is_out_of_range(
    entry: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        _schedule(**entry)
