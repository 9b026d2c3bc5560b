"""Latency: on a clock of our own, where the truth is known, and once on the real one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgepress.devices import latency
from edgepress.devices.latency import Plan

PLAN = Plan(warmup=20, runs=1000, threads=1, confidence=0.95, seed=0)


class Machine:
    """A clock that moves only when something runs, and slows down as it goes on."""

    def __init__(self, drift: float = 0.0, noise: float = 0.0) -> None:
        self.now = 0
        self.drift = drift
        self.rng = np.random.default_rng(7)
        self.noise = noise
        self.calls = 0

    def clock(self) -> int:
        return self.now

    def runs_for(self, milliseconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls += 1
            slower = 1 + self.drift * self.calls
            self.now += round(milliseconds * 1e6 * slower * (1 + self.noise * self.rng.random()))

        return call


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(drift=1e-4, noise=0.05)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    return made


def test_speedup_is_the_true_ratio_when_the_machine_slows_down(machine: Machine) -> None:
    timed = latency.measure(machine.runs_for(1.0), machine.runs_for(2.0), PLAN)
    assert timed.speedup is not None
    assert timed.speedup.low < 2.0 < timed.speedup.high
    assert timed.speedup.high - timed.speedup.low < 0.02


def test_percentiles_are_in_order_and_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine(noise=0.5)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    timed = latency.measure(made.runs_for(4.0), None, PLAN)
    assert timed.p99_ms is not None
    assert timed.speedup is None
    assert timed.p50_ms.value == pytest.approx(5.0, rel=0.03)
    assert timed.p50_ms.value < timed.p90_ms.value < timed.p99_ms.value < 6.0
    assert timed.runs == 1000


def test_p99_is_none_when_the_plan_has_too_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine(noise=0.5)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    plan = Plan(warmup=20, runs=300, threads=1, confidence=0.95, seed=0)
    timed = latency.measure(made.runs_for(1.0), None, plan)
    assert timed.p99_ms is None
    assert timed.runs == 300


def test_percentiles_span_all_runs_when_the_machine_drifts_through_the_whole_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Machine(drift=1e-2)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    timed = latency.measure(made.runs_for(1.0), None, PLAN)
    assert timed.p99_ms is None
    assert timed.runs == 4000
    assert timed.p50_ms.low == timed.p90_ms.low < timed.p50_ms.value / 10
    assert timed.p50_ms.high == timed.p90_ms.high > timed.p90_ms.value


def test_warm_up_goes_on_until_runs_stop_getting_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine()
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)

    def call() -> None:
        made.calls += 1
        made.now += max(100, 1000 - 4 * made.calls)

    runs = latency.warm_up(call, 20)
    assert 220 <= runs <= 300
    assert latency.warm_up(made.runs_for(1.0), 20) == 40


def test_each_round_holds_both_in_an_order_that_the_seed_decides() -> None:
    def orders(seed: int) -> str:
        trace: list[str] = []
        calls = [lambda: trace.append("a"), lambda: trace.append("b")]
        latency.interleave(calls, 40, np.random.default_rng(seed))
        blocks = ["".join(trace[i : i + 11]) for i in range(0, len(trace), 11)]
        assert set(blocks) == {"a" * 11, "b" * 11}
        assert all({blocks[i][0], blocks[i + 1][0]} == {"a", "b"} for i in range(0, 80, 2))
        return "".join(block[0] for block in blocks[::2])

    assert orders(1) == orders(1) != orders(2)
    assert 8 < orders(1).count("a") < 32


def test_garbage_collection_is_off_while_timing_and_on_again_after() -> None:
    seen: set[bool] = set()
    plan = Plan(warmup=5, runs=100, threads=1, confidence=0.95, seed=0)
    latency.measure(lambda: seen.add(gc.isenabled()), None, plan)
    assert seen == {False}
    assert gc.isenabled()


def test_real_machine_calls_no_difference_when_both_are_the_same() -> None:
    data = np.random.default_rng(0).random((48, 48))

    def call() -> object:
        return data @ data

    rounds = (latency.interleave([call, call], 40, np.random.default_rng(s)) for s in range(60))
    called = 0
    for ours, theirs in rounds:
        interval = latency.speedup(ours, theirs, 0.95)
        called += not interval.low <= 1 <= interval.high
    # More than 10 of 60 has a chance of 1 in 5,000 at the nominal 5 %.
    assert called <= 10


def test_measurements_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(latency.tempfile, "gettempdir", lambda: str(tmp_path))
    with latency._alone():
        (lock,) = tmp_path.iterdir()
        with lock.open("a") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
