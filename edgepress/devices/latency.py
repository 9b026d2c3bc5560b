"""Latency with a stated error: settled warm-up, interleaved rounds in random order, intervals.

A round times a block of runs of the export and a block of its baseline, in an order drawn by lot,
so that drift of the machine falls on both alike and an A/A comparison finds a difference at the
nominal rate, whatever the noise. A p99 that the runs cannot bound is refused, not guessed.
"""

from __future__ import annotations

import fcntl
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.devices import intervals
from edgepress.devices.intervals import Floats
from edgepress.records.measurement import Interval, Latency

Call = Callable[[], object]
_BLOCK = 10
_SETTLED = 0.97
_MOST_WINDOWS = 20
_MOST_EXTENSIONS = 4


@dataclass(frozen=True)
class Plan:
    """A Protocol's numbers with the seed of the rounds' order."""

    warmup: int
    runs: int
    """Rounded up to whole blocks of ten; more follow where p99 needs them."""
    threads: int
    confidence: float
    seed: int


def measure(candidate: Call, baseline: Call | None, plan: Plan) -> Latency:
    """Time `candidate`, against `baseline` if given; p99 is None where the runs cannot bound it."""
    calls = [candidate] if baseline is None else [candidate, baseline]
    with _alone(), _without_gc():
        warmup = [warm_up(call, plan.warmup) for call in calls]
        times = _enough(calls, plan)
    series = times[0].ravel()
    return Latency(
        p50_ms=_bounded(series, 0.5, plan.confidence),
        p90_ms=_bounded(series, 0.9, plan.confidence),
        p99_ms=intervals.percentile(series, 0.99, plan.confidence),
        runs=len(series),
        warmup_runs=warmup[0],
        threads=plan.threads,
        speedup=None if baseline is None else speedup(times[0], times[1], plan.confidence),
    )


def _bounded(series: Floats, quantile: float, confidence: float) -> Interval:
    """Bound a percentile; by the fastest and slowest run where the machine drifted throughout."""
    bounded = intervals.percentile(series, quantile, confidence)
    if bounded is not None:
        return bounded
    value = float(np.quantile(series, quantile, method="inverted_cdf"))
    low, high = float(series.min()), float(series.max())
    return Interval(value=value, low=low, high=high, confidence=confidence)


def speedup(candidate: Floats, baseline: Floats, confidence: float) -> Interval:
    """Return baseline over candidate, times [rounds, runs]: the typical ratio of their medians."""
    return intervals.ratio(np.median(baseline, axis=1), np.median(candidate, axis=1), confidence)


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
            times[which, index] = _timed(calls[which], _BLOCK)
    return times


def _enough(calls: Sequence[Call], plan: Plan) -> Floats:
    """Interleave the planned runs, and again while correlated noise leaves p99 without a bound."""
    rng = np.random.default_rng(plan.seed)
    rounds = -(-plan.runs // _BLOCK)
    times = interleave(calls, rounds, rng)
    needed = intervals.runs_needed(0.99, plan.confidence)
    for _ in range(_MOST_EXTENSIONS - 1):
        if plan.runs < needed or intervals.effective_runs(times[0].ravel(), 0.99) >= needed:
            break
        times = np.concatenate([times, interleave(calls, rounds, rng)], axis=1)
    return times


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
