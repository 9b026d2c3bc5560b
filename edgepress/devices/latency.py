"""Latency with a stated error: fresh loads, settled warm-up, interleaved rounds, intervals.

Two loads of one file differ in speed by the luck of where their memory lies, and no number of runs
averages that out. So the export and its baseline are loaded afresh ten times, in random order;
within a load, rounds time a block of runs of each in an order drawn by lot, so that drift of the
machine falls on both alike. With loads as the sample, an A/A comparison finds a difference at the
nominal rate, whatever the noise. A p99 that the runs cannot bound is refused, not guessed.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.devices import intervals
from edgepress.devices.intervals import Floats
from edgepress.records.measurement import Interval, Latency

Call = Callable[[], object]
Open = Callable[[], AbstractContextManager[Call]]
"""Loads a model afresh and gives the call that runs it."""

_BLOCK = 10
_LOADS = 10
_SETTLED = 0.97
_MOST_WINDOWS = 20
_MOST_EXTENSIONS = 4
_MOST_TRIES = 5
_WAITED = 0.1
"""Share of a block that its threads may spend waiting for a processor."""
_THREADS = Path("/proc/self/task")


@dataclass(frozen=True)
class Plan:
    """A Protocol's numbers with the seed of the rounds' order."""

    warmup: int
    runs: int
    """Rounded up to ten loads of whole blocks of ten; more follow where p99 needs them."""
    threads: int
    confidence: float
    seed: int


def measure(candidate: Open, baseline: Open | None, plan: Plan) -> Latency:
    """Time `candidate`, against `baseline` if given; p99 is None where the runs cannot bound it."""
    opens = [candidate] if baseline is None else [candidate, baseline]
    with _alone(), _without_gc():
        times, warmup = _enough(opens, plan)
    series = times[:, 0].ravel()
    return Latency(
        p50_ms=_bounded(series, 0.5, plan.confidence),
        p90_ms=_bounded(series, 0.9, plan.confidence),
        p99_ms=intervals.percentile(series, 0.99, plan.confidence),
        runs=len(series),
        warmup_runs=warmup,
        threads=plan.threads,
        speedup=None if baseline is None else speedup(times, plan.confidence),
    )


def speedup(times: Floats, confidence: float) -> Interval:
    """Return baseline over candidate from times [loads, 2, rounds, block].

    A load's ratio is the median of its rounds' ratios of medians; loads, not runs, are the sample.
    """
    rounds = np.log(np.median(times, axis=3))
    return intervals.typical(np.exp(np.median(rounds[:, 1] - rounds[:, 0], axis=1)), confidence)


def _bounded(series: Floats, quantile: float, confidence: float) -> Interval:
    """Bound a percentile; by the fastest and slowest run where the machine drifted throughout."""
    bounded = intervals.percentile(series, quantile, confidence)
    if bounded is not None:
        return bounded
    value = float(np.quantile(series, quantile, method="inverted_cdf"))
    low, high = float(series.min()), float(series.max())
    return Interval(value=value, low=low, high=high, confidence=confidence)


def warm_up(call: Call, window: int) -> int:
    """Run windows of `window` calls until the median stops falling by 3 %; return the runs made."""
    before = float(np.median(_timed(call, window)))
    runs = window
    while runs < _MOST_WINDOWS * window:
        now = float(np.median(_timed(call, window)))
        runs += window
        if now >= _SETTLED * before:
            break
        before = now
    return runs


def interleave(calls: Sequence[Call], rounds: int, rng: np.random.Generator) -> Floats:
    """Return milliseconds [calls, rounds, block]; the order within each round is drawn by lot."""
    times = np.empty((len(calls), rounds, _BLOCK))
    for index in range(rounds):
        for which in rng.permutation(len(calls)):
            calls[which]()  # The first run after a change finds the other's data in the caches.
            times[which, index] = _undisturbed(calls[which])
    return times


def _enough(opens: Sequence[Open], plan: Plan) -> tuple[Floats, int]:
    """Time the planned runs, and again while correlated noise leaves p99 without a bound."""
    rng = np.random.default_rng(plan.seed)
    rounds = -(-plan.runs // (_LOADS * _BLOCK))
    needed = intervals.runs_needed(0.99, plan.confidence)
    times: list[Floats] = []
    most = 0
    for _ in range(_MOST_EXTENSIONS):
        for _ in range(_LOADS):
            load, warmup = _load(opens, rounds, plan.warmup, rng)
            times.append(load)
            most = max(most, warmup)
        series = np.stack(times)[:, 0].ravel()
        if plan.runs < needed or intervals.effective_runs(series, 0.99) >= needed:
            break
    return np.stack(times), most


def _load(
    opens: Sequence[Open], rounds: int, window: int, rng: np.random.Generator
) -> tuple[Floats, int]:
    """Open all afresh in random order, warm them up, and interleave; return the times, warm-up."""
    with ExitStack() as stack:
        calls: dict[int, Call] = {}
        for which in rng.permutation(len(opens)):
            calls[int(which)] = stack.enter_context(opens[which]())
        ordered = [calls[index] for index in range(len(opens))]
        warmup = [warm_up(call, window) for call in ordered]
        return interleave(ordered, rounds, rng), warmup[0]


def _undisturbed(call: Call) -> Floats:
    """Time a block, again if another program meanwhile had a processor that this one wanted."""
    for _ in range(_MOST_TRIES):
        preempted, waited = _preemptions(), _waited_ns()
        block = _timed(call, _BLOCK)
        waited_ms = (_waited_ns() - waited) / 1e6
        if _preemptions() == preempted and waited_ms <= _WAITED * float(block.sum()):
            break
    return block


def _preemptions() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _waited_ns() -> int:
    """Return how long this process's threads stood ready without a processor; 0 if not told.

    A runtime with threads of its own is seldom preempted: its thread sleeps between runs, and what
    delays it is the wait for a processor once it is woken.
    """
    waited = 0
    for path in _THREADS.glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            waited += int(path.read_text().split()[1])
    return waited


def _timed(call: Call, runs: int) -> Floats:
    clock = time.perf_counter_ns
    stamps = [clock()]
    for _ in range(runs):
        call()
        stamps.append(clock())
    nanoseconds = np.array(stamps, np.int64)
    return (nanoseconds[1:] - nanoseconds[:-1]) / 1e6


@contextmanager
def _without_gc() -> Iterator[None]:
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _alone() -> Iterator[None]:
    """Let one measurement of this user run at a time: stages in parallel would time each other."""
    path = Path(tempfile.gettempdir()) / f"edgepress-timing-{os.getuid()}.lock"
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
