"""Latency: on a clock of our own, where the truth is known, and once on the real one."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from edgepress.devices import latency
from edgepress.devices.latency import Open, Plan

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

    def opens(self, milliseconds: float) -> Open:
        return lambda: nullcontext(self.runs_for(milliseconds))

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
    timed = latency.measure(machine.opens(1.0), machine.opens(2.0), PLAN)
    assert timed.speedup is not None
    assert timed.speedup.low < 2.0 < timed.speedup.high
    assert timed.speedup.high - timed.speedup.low < 0.02


def test_percentiles_are_in_order_and_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine(noise=0.5)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    timed = latency.measure(made.opens(4.0), None, PLAN)
    assert timed.p99_ms is not None
    assert timed.speedup is None
    assert timed.p50_ms.value == pytest.approx(5.0, rel=0.03)
    assert timed.p50_ms.value < timed.p90_ms.value < timed.p99_ms.value < 6.0
    assert timed.runs == 1000


def test_p99_is_none_when_the_plan_has_too_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine(noise=0.5)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    plan = Plan(warmup=20, runs=300, threads=1, confidence=0.95, seed=0)
    timed = latency.measure(made.opens(1.0), None, plan)
    assert timed.p99_ms is None
    assert timed.runs == 300


def test_percentiles_span_all_runs_when_the_machine_drifts_through_the_whole_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Machine(drift=1e-2)
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    timed = latency.measure(made.opens(1.0), None, PLAN)
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


def test_each_round_holds_both_in_an_order_that_the_seed_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency, "_preemptions", lambda: 0)
    monkeypatch.setattr(latency, "_waited_ns", lambda: 0)

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


def test_block_is_timed_again_when_another_program_had_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Machine()
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    taken = 0

    def call() -> None:
        nonlocal taken
        made.calls += 1
        disturbed = made.calls in (5, 15)
        taken += disturbed
        made.now += 50_000_000 if disturbed else 1_000_000

    monkeypatch.setattr(latency, "_preemptions", lambda: taken)
    monkeypatch.setattr(latency, "_waited_ns", lambda: 0)
    assert set(latency._undisturbed(call)) == {1.0}
    assert made.calls == 30


def test_block_is_timed_again_when_its_threads_waited_for_a_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Machine()
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    waited = 0

    def call() -> None:
        nonlocal waited
        made.calls += 1
        delay = 3_000_000 if made.calls == 5 else 50_000
        waited += delay
        made.now += 1_000_000 if made.calls > 10 else 1_000_000 + delay

    monkeypatch.setattr(latency, "_preemptions", lambda: 0)
    monkeypatch.setattr(latency, "_waited_ns", lambda: waited)
    assert set(latency._undisturbed(call)) == {1.0}
    assert made.calls == 20


def test_waiting_is_told_when_another_program_takes_the_processor() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            before, started = latency._waited_ns(), time.monotonic()
            while time.monotonic() - started < 1.0:
                pass
            assert latency._waited_ns() - before > 50_000_000
        finally:
            rival.kill()
            rival.wait()
    finally:
        os.sched_setaffinity(0, cores)


def test_block_stands_when_it_is_disturbed_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Machine()
    monkeypatch.setattr(latency.time, "perf_counter_ns", made.clock)
    monkeypatch.setattr(latency, "_preemptions", lambda: made.calls)
    assert set(latency._undisturbed(made.runs_for(1.0))) == {1.0}
    assert made.calls == 50


def test_garbage_collection_is_off_while_timing_and_on_again_after() -> None:
    seen: set[bool] = set()
    plan = Plan(warmup=5, runs=100, threads=1, confidence=0.95, seed=0)
    latency.measure(lambda: nullcontext(lambda: seen.add(gc.isenabled())), None, plan)
    assert seen == {False}
    assert gc.isenabled()


def test_every_load_is_closed_before_the_next_is_opened() -> None:
    trace: list[str] = []

    def opener(name: str) -> Open:
        @contextmanager
        def opened() -> Iterator[Callable[[], None]]:
            trace.append(f"+{name}")
            yield lambda: None
            trace.append(f"-{name}")

        return opened

    latency.measure(opener("a"), opener("b"), Plan(2, 100, 1, 0.95, 0))
    loads = [set(trace[i : i + 4]) for i in range(0, len(trace), 4)]
    assert loads == [{"+a", "+b", "-a", "-b"}] * 10
    assert 0 < sum(trace[i] == "+a" for i in range(0, 40, 4)) < 10


def noisy(rng: np.random.Generator, memory: float, luck: float) -> latency.Floats:
    """Times [10 loads, 2, 10 rounds, 10 runs] of twins: drift, jitter, spikes, luck of the load."""
    runs = 10 * 10 * 2 * 10
    steps = rng.normal(size=runs)
    drift = np.empty(runs)
    last = rng.normal()
    for index, step in enumerate(steps):
        last = memory * last + np.sqrt(1 - memory**2) * step
        drift[index] = last
    spikes = (rng.random(runs) < 0.02) * rng.exponential(1.0, runs)
    times = np.exp(0.1 * drift + 0.02 * rng.normal(size=runs)) + spikes
    blocks = times.reshape(10, 10, 2, 10)
    order = rng.permuted(np.tile([0, 1], (10, 10, 1)), axis=2)
    blocks = np.take_along_axis(blocks, order[..., None], axis=2)
    luckily = np.exp(luck * rng.normal(size=(10, 1, 2, 1)))
    return (blocks * luckily).transpose(0, 2, 1, 3)


@pytest.mark.parametrize(("memory", "luck"), [(0.0, 0.02), (0.9, 0.02), (0.999, 0.0)])
def test_twins_differ_at_the_nominal_rate_whatever_the_noise(memory: float, luck: float) -> None:
    trials, called = 400, 0
    for seed in range(trials):
        interval = latency.speedup(noisy(np.random.default_rng(seed), memory, luck), 0.95)
        called += not interval.low <= 1 <= interval.high
    # The 0.1 % and 99.9 % points of a binomial of 400 trials at the nominal 5 %.
    assert 8 <= called <= 35


def test_five_percent_is_found_when_loads_and_runs_are_noisy() -> None:
    times = noisy(np.random.default_rng(1), 0.9, 0.01)
    times[:, 0] /= 1.05
    interval = latency.speedup(times, 0.95)
    assert 1.0 < interval.low < 1.05 < interval.high < 1.1


def test_real_machine_calls_no_difference_when_both_are_the_same() -> None:
    data = np.random.default_rng(0).random((32, 32))

    def opened() -> AbstractContextManager[Callable[[], object]]:
        mine = data.copy()
        return nullcontext(lambda: mine @ mine)

    called = 0
    for seed in range(20):
        timed = latency.measure(opened, opened, Plan(10, 200, 1, 0.95, seed))
        assert timed.speedup is not None
        called += not timed.speedup.low <= 1 <= timed.speedup.high
    # More than 5 of 20 has a chance of 1 in 3,000 at the nominal 5 %.
    assert called <= 5


def test_measurements_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency.tempfile, "gettempdir", lambda: str(tmp_path))
    with latency._alone():
        (lock,) = tmp_path.iterdir()
        with lock.open("a") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
