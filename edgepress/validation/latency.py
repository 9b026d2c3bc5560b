"""Latency with a stated error: fresh loads, settled warm-up, interleaved rounds, intervals.

Two loads of one file differ in speed by the luck of where their memory lies, and no number of runs
averages that out. So the export and its baseline are loaded afresh ten times, in random order;
within a load, rounds time a block of runs of each in an order drawn by lot, so that drift of the
machine falls on both alike. With loads as the sample, an A/A comparison finds a difference at the
nominal rate, whatever the noise. A round counts only where no block of it was disturbed by another
program: long runs are pre-empted and short ones slip through, so that a disturbed pair has another
ratio than the truth. What cannot be had undisturbed is refused, and so is a p99 that the runs
cannot bound: neither is guessed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from edgepress import intervals
from edgepress.intervals import Floats
from edgepress.progress import Progress, silent
from edgepress.records.measurement import Interval, Latency
from edgepress.validation.alone import DisturbedError, alone
from edgepress.validation.timing import Timing
from edgepress.validation.watch import Call, Watch

Open = Callable[[], AbstractContextManager[Call]]
"""Loads a model afresh and gives the call that runs it."""

_BLOCK = 10
_LOADS = 10
_SETTLED = 0.97
_MOST_WINDOWS = 20
_MOST_EXTENSIONS = 4
_MOST_ATTEMPTS = 5
"""Rounds tried for each one wanted, over the whole measurement, before it is given up."""


@dataclass(frozen=True)
class Plan:
    """How to time, the seed of the rounds' order, who is told, and the machine's watch."""

    timing: Timing
    seed: int
    progress: Progress = silent
    watch: Watch = field(default_factory=Watch)


def measure(candidate: Open, baseline: Open | None, plan: Plan) -> Latency:
    """Time `candidate`, against `baseline` if given; p99 is None where the runs cannot bound it.

    Raises DisturbedError where the machine was too busy with other programs to be timed.
    """
    opens = [candidate] if baseline is None else [candidate, baseline]
    with alone(plan.progress), _without_gc():
        session = _Session(opens, plan, judged=1)
        times = session.enough()
    return session.latency(times, 0, None if baseline is None else 1)


def together(opens: Sequence[Open], plan: Plan) -> list[Latency]:
    """Time several in turns, all alike; the speed-up of each but the first is over the first.

    Raises DisturbedError where the machine was too busy with other programs to be timed.
    """
    with alone(plan.progress), _without_gc():
        session = _Session(opens, plan, judged=len(opens))
        times = session.enough()
    return [session.latency(times, which, 0 if which else None) for which in range(len(opens))]


def speedup(times: Floats, confidence: float) -> Interval:
    """Return baseline over candidate from times [loads, 2, rounds, block].

    A load's ratio is the median of its rounds' ratios of medians; loads, not runs, are the sample.
    """
    rounds = np.log(np.median(times, axis=3))
    return intervals.typical(np.exp(np.median(rounds[:, 1] - rounds[:, 0], axis=1)), confidence)


def warm_up(call: Call, window: int, watch: Watch) -> int:
    """Run windows of `window` calls until the median stops falling by 3 %; return the runs made."""
    before = float(np.median(watch.timed(call, window)))
    runs = window
    while runs < _MOST_WINDOWS * window:
        now = float(np.median(watch.timed(call, window)))
        runs += window
        if now >= _SETTLED * before:
            break
        before = now
    return runs


def _bounded(series: Floats, quantile: float, confidence: float) -> Interval:
    """Bound a percentile; by the fastest and slowest run where the machine drifted throughout."""
    bounded = intervals.percentile(series, quantile, confidence)
    if bounded is not None:
        return bounded
    value = float(np.quantile(series, quantile, method="inverted_cdf"))
    low, high = float(series.min()), float(series.max())
    return Interval(value=value, low=low, high=high, confidence=confidence)


class _Session:
    """One measurement under way: its rounds, those disturbed, and how many may be."""

    def __init__(self, opens: Sequence[Open], plan: Plan, judged: int) -> None:
        """Time `opens`; runs suffice once they bound p99 of the first `judged` of them."""
        self.opens, self.plan, self.judged = opens, plan, judged
        self.rng = np.random.default_rng(plan.seed)
        self.rounds = -(-plan.timing.runs // (_LOADS * _BLOCK))
        self.attempts = self.disturbed = 0
        self.warmup = [0] * len(opens)

    def enough(self) -> Floats:
        """Time the planned runs, and again while correlated noise leaves p99 without a bound."""
        timing = self.plan.timing
        needed = intervals.runs_needed(0.99, timing.confidence)
        times: list[Floats] = []
        for _ in range(_MOST_EXTENSIONS):
            for _ in range(_LOADS):
                times.append(self._load(len(times)))
            every = np.stack(times)
            series = (every[:, which].ravel() for which in range(self.judged))
            worth = min(intervals.effective_runs(each, 0.99) for each in series)
            if timing.runs < needed or worth >= needed:
                break
        return np.stack(times)

    def latency(self, times: Floats, which: int, against: int | None) -> Latency:
        """Return what the times [loads, calls, rounds, block] say of one call."""
        series = times[:, which].ravel()
        confidence = self.plan.timing.confidence
        return Latency(
            p50_ms=_bounded(series, 0.5, confidence),
            p90_ms=_bounded(series, 0.9, confidence),
            p99_ms=intervals.percentile(series, 0.99, confidence),
            runs=len(series),
            warmup_runs=self.warmup[which],
            threads=self.plan.timing.threads,
            speedup=None if against is None else speedup(times[:, [which, against]], confidence),
            disturbed=self.disturbed / max(self.attempts, 1),
        )

    def _load(self, done: int) -> Floats:
        """Open all afresh in random order, warm them up, and time undisturbed rounds of them."""
        self.plan.progress("timing, fresh loads", done, _LOADS * (1 + done // _LOADS))
        with ExitStack() as stack:
            calls: dict[int, Call] = {}
            for which in self.rng.permutation(len(self.opens)):
                calls[int(which)] = stack.enter_context(self.opens[which]())
            ordered = [calls[index] for index in range(len(self.opens))]
            made = [warm_up(call, self.plan.timing.warmup, self.plan.watch) for call in ordered]
            self.warmup = [max(pair) for pair in zip(self.warmup, made, strict=True)]
            return self.interleave(ordered)

    def interleave(self, calls: Sequence[Call]) -> Floats:
        """Return milliseconds [calls, rounds, block] of rounds that nothing disturbed."""
        times = np.empty((len(calls), self.rounds, _BLOCK))
        for index in range(self.rounds):
            while not self._round(calls, times[:, index]):
                self._refuse_hopeless()
        return times

    def _round(self, calls: Sequence[Call], into: Floats) -> bool:
        """Time a block of each call in an order drawn by lot; tell whether nothing disturbed it."""
        self.attempts += 1
        calm = True
        for which in self.rng.permutation(len(calls)):
            calls[which]()  # The first run after a change finds the other's data in the caches.
            into[which], undisturbed = self.plan.watch.block(calls[which], _BLOCK)
            calm = calm and undisturbed
        self.disturbed += not calm
        return calm

    def _refuse_hopeless(self) -> None:
        if self.disturbed >= (_MOST_ATTEMPTS - 1) * self.rounds * _LOADS:
            raise DisturbedError(
                f"other programs took the processor in {self.disturbed} of {self.attempts} rounds "
                f"(load average {self.plan.watch.load():.1f}); measure again on a quieter machine"
            )


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
