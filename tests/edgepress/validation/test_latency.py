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

from edgepress.intervals import Floats
from edgepress.validation import alone, latency
from edgepress.validation.alone import DisturbedError
from edgepress.validation.latency import Open, Plan
from edgepress.validation.timing import Timing
from edgepress.validation.watch import Watch, waited_ns

TIMING = Timing(warmup=20, runs=1000, threads=1, confidence=0.95)


class Machine:
    """A clock that moves only when something runs; other programs may take the processor.

    A rival that comes up every `rival_ms` takes the processor for four milliseconds: long runs are
    hit, short ones slip through, and what was lost shows as time spent waiting.
    """

    def __init__(self, drift: float = 0.0, noise: float = 0.0, rival_ms: float = 0.0) -> None:
        self.now = self.waited = self.calls = 0
        self.drift, self.noise = drift, noise
        self.rng = np.random.default_rng(7)
        self.rival = round(rival_ms * 1e6)
        self.next_rival = self.rival

    def watch(self, told: bool = True) -> Watch:
        return Watch(
            clock=lambda: self.now,
            waited=lambda: self.waited if told else None,
            preempted=lambda: self.waited,
            load=lambda: 7.0,
        )

    def opens(self, milliseconds: float) -> Open:
        return lambda: nullcontext(self.runs_for(milliseconds))

    def runs_for(self, milliseconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls += 1
            slower = 1 + self.drift * self.calls
            self.now += round(milliseconds * 1e6 * slower * (1 + self.noise * self.rng.random()))
            while self.rival and self.now >= self.next_rival:
                self.now += 4_000_000
                self.waited += 4_000_000
                self.next_rival = self.now + round(self.rival * (0.5 + self.rng.random()))

        return call


def plan(machine: Machine, **changes: object) -> Plan:
    return Plan(TIMING.model_copy(update=changes), 0, watch=machine.watch())


def test_speedup_is_the_true_ratio_when_the_machine_slows_down() -> None:
    machine = Machine(drift=1e-4, noise=0.05)
    timed = latency.measure(machine.opens(1.0), machine.opens(2.0), plan(machine))
    assert timed.speedup is not None
    assert timed.speedup.low < 2.0 < timed.speedup.high
    assert timed.speedup.high - timed.speedup.low < 0.02
    assert timed.disturbed == 0.0


def test_speedup_is_the_true_ratio_when_another_program_comes_up_now_and_then() -> None:
    """A fault of the field: 2.5 times as fast was recorded as 11.6 at a load of seven."""
    machine = Machine(noise=0.05, rival_ms=60.0)
    timed = latency.measure(machine.opens(0.4), machine.opens(1.0), plan(machine))
    assert timed.speedup is not None
    assert timed.speedup.low < 2.5 < timed.speedup.high
    assert timed.p99_ms is not None
    assert timed.p99_ms.high < 0.45
    assert 0.1 < timed.disturbed < 0.6


def test_twins_are_not_told_apart_when_another_program_comes_up_now_and_then() -> None:
    called = 0
    for seed in range(40):
        machine = Machine(noise=0.1, rival_ms=60.0)
        machine.rng = np.random.default_rng(seed)
        timed = latency.measure(machine.opens(1.0), machine.opens(1.0), plan(machine, runs=300))
        assert timed.speedup is not None
        called += not timed.speedup.low <= 1 <= timed.speedup.high
    # More than 6 of 40 has a chance of 1 in 300 at the nominal 5 %.
    assert called <= 6


def test_each_of_several_has_its_speed_up_over_the_first_when_timed_together() -> None:
    machine = Machine(noise=0.05)
    opens = [machine.opens(milliseconds) for milliseconds in (2.0, 1.0, 4.0)]
    first, second, third = latency.together(opens, plan(machine))
    assert first.speedup is None
    assert second.speedup is not None
    assert third.speedup is not None
    assert second.speedup.low < 2.0 < second.speedup.high
    assert third.speedup.low < 0.5 < third.speedup.high
    assert third.p99_ms is not None
    assert 4.0 < third.p50_ms.low < third.p99_ms.high < 8.0


def test_nothing_is_timed_when_every_block_is_disturbed() -> None:
    machine = Machine(rival_ms=5.0)
    with pytest.raises(DisturbedError, match=r"load average 7\.0.*quieter machine"):
        latency.measure(machine.opens(1.0), machine.opens(2.0), plan(machine))
    assert machine.calls < 5 * 2 * 1100 + 2 * 10 * 400


def test_long_runs_are_timed_when_they_wait_for_moments_only() -> None:
    """A quiet machine interrupts a run of 50 ms often, for microseconds."""
    machine = Machine()

    def call() -> None:
        machine.now += 50_000_000
        machine.waited += 40_000

    timed = latency.measure(lambda: nullcontext(call), None, plan(machine, runs=400))
    assert timed.p50_ms.value == 50.0
    assert timed.disturbed == 0.0


def test_block_is_disturbed_when_preempted_where_the_kernel_tells_no_waiting() -> None:
    machine = Machine(rival_ms=25.0)
    watch = machine.watch(told=False)
    seen = {watch.block(machine.runs_for(1.0), 10)[1] for _ in range(20)}
    assert seen == {True, False}


def test_percentiles_are_in_order_and_in_milliseconds() -> None:
    machine = Machine(noise=0.5)
    timed = latency.measure(machine.opens(4.0), None, plan(machine))
    assert timed.p99_ms is not None
    assert timed.speedup is None
    assert timed.p50_ms.value == pytest.approx(5.0, rel=0.03)
    assert timed.p50_ms.value < timed.p90_ms.value < timed.p99_ms.value < 6.0
    assert timed.runs == 1000


def test_p99_is_none_when_the_plan_has_too_few_runs() -> None:
    machine = Machine(noise=0.5)
    timed = latency.measure(machine.opens(1.0), None, plan(machine, runs=300))
    assert timed.p99_ms is None
    assert timed.runs == 300


def test_percentiles_span_all_runs_when_the_machine_drifts_through_the_whole_session() -> None:
    machine = Machine(drift=1e-2)
    timed = latency.measure(machine.opens(1.0), None, plan(machine))
    assert timed.p99_ms is None
    assert timed.runs == 4000
    assert timed.p50_ms.low == timed.p90_ms.low < timed.p50_ms.value / 10
    assert timed.p50_ms.high == timed.p90_ms.high > timed.p90_ms.value


def test_warm_up_goes_on_until_runs_stop_getting_faster() -> None:
    machine = Machine()

    def call() -> None:
        machine.calls += 1
        machine.now += max(100, 1000 - 4 * machine.calls)

    runs = latency.warm_up(call, 20, machine.watch())
    assert 220 <= runs <= 300
    assert latency.warm_up(machine.runs_for(1.0), 20, machine.watch()) == 40


def test_each_round_holds_both_in_an_order_that_the_seed_decides() -> None:
    def orders(seed: int) -> str:
        trace: list[str] = []
        calls = [lambda: trace.append("a"), lambda: trace.append("b")]
        made = Plan(TIMING.model_copy(update={"runs": 4000}), seed, watch=Machine().watch())
        session = latency._Session([nullcontext, nullcontext], made, judged=1)
        session.interleave(calls)
        blocks = ["".join(trace[i : i + 11]) for i in range(0, len(trace), 11)]
        assert set(blocks) == {"a" * 11, "b" * 11}
        assert all({blocks[i][0], blocks[i + 1][0]} == {"a", "b"} for i in range(0, 80, 2))
        return "".join(block[0] for block in blocks[::2])

    assert orders(1) == orders(1) != orders(2)
    assert 8 < orders(1).count("a") < 32


def test_waiting_is_told_when_another_program_takes_the_processor() -> None:
    if waited_ns() is None:
        pytest.skip("this kernel does not tell how long a thread waited")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            before, started = waited_ns() or 0, time.monotonic()
            while time.monotonic() - started < 1.0:
                pass
            assert (waited_ns() or 0) - before > 50_000_000
        finally:
            rival.kill()
            rival.wait()
    finally:
        os.sched_setaffinity(0, cores)


def test_garbage_collection_is_off_while_timing_and_on_again_after() -> None:
    seen: set[bool] = set()

    def opened() -> AbstractContextManager[Callable[[], object]]:
        return nullcontext(lambda: seen.add(gc.isenabled()))

    latency.measure(opened, None, plan(Machine(), warmup=5, runs=100))
    assert seen == {False}
    assert gc.isenabled()


def test_every_load_is_closed_before_the_next_is_opened_and_told() -> None:
    trace: list[str] = []
    told: list[tuple[int, int]] = []

    def opener(name: str) -> Open:
        @contextmanager
        def opened() -> Iterator[Callable[[], None]]:
            trace.append(f"+{name}")
            yield lambda: None
            trace.append(f"-{name}")

        return opened

    made = Plan(
        TIMING.model_copy(update={"warmup": 2, "runs": 100}),
        0,
        lambda what, done, total: told.append((done, total)),
        Machine().watch(),
    )
    latency.measure(opener("a"), opener("b"), made)
    loads = [set(trace[i : i + 4]) for i in range(0, len(trace), 4)]
    assert loads == [{"+a", "+b", "-a", "-b"}] * 10
    assert 0 < sum(trace[i] == "+a" for i in range(0, 40, 4)) < 10
    assert told == [(done, 10) for done in range(10)]


def noisy(rng: np.random.Generator, memory: float, luck: float) -> Floats:
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
        small = TIMING.model_copy(update={"warmup": 10, "runs": 200})
        try:
            found = latency.measure(opened, opened, Plan(small, seed))
        except DisturbedError:
            continue  # Right on a machine as busy as that.
        assert found.speedup is not None
        called += not found.speedup.low <= 1 <= found.speedup.high
    # More than 5 of 20 has a chance of 1 in 3,000 at the nominal 5 %.
    assert called <= 5


def test_measurement_waits_for_another_says_so_and_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(alone, "_TOLD_S", 0.0)
    monkeypatch.setattr(alone, "_STEP_S", 0.01)
    said: list[str] = []

    def hear(what: str, done: int, total: int) -> None:
        said.append(what)

    with alone.alone(hear):
        (lock,) = tmp_path.iterdir()
        with lock.open("a") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        waiting = alone.alone(hear, patience_s=0.1)
        with pytest.raises(DisturbedError, match="another measurement ran for over 0 s"), waiting:
            pass
    assert set(said) == {"waiting for another measurement, s"}
    with alone.alone(hear):
        pass
