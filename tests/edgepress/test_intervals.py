"""Intervals: exact where exactness can be had, and covering at the rate they state elsewhere."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress import intervals

Floats = npt.NDArray[np.float64]
counts = st.integers(1, 2000).flatmap(
    lambda pairs: st.tuples(st.just(pairs), st.integers(0, pairs), st.integers(0, pairs)).filter(
        lambda three: three[1] + three[2] <= three[0]
    )
)


def correlated(rng: np.random.Generator, runs: int, memory: float) -> Floats:
    """Standard normal noise in which each run remembers the one before."""
    steps = rng.normal(size=runs) * math.sqrt(1 - memory**2)
    steps[0] = rng.normal()
    for index in range(1, runs):
        steps[index] += memory * steps[index - 1]
    return steps


def latencies(rng: np.random.Generator, runs: int, memory: float) -> Floats:
    """Milliseconds with drift, jitter and now and then a spike."""
    spikes = (rng.random(runs) < 0.02) * rng.exponential(1.0, runs)
    return np.exp(0.1 * correlated(rng, runs, memory) + 0.02 * rng.normal(size=runs)) + spikes


@pytest.mark.parametrize(("quantile", "runs"), [(0.5, 6), (0.9, 36), (0.99, 368)])
def test_runs_needed_is_where_the_highest_run_first_bounds_the_quantile(
    quantile: float, runs: int
) -> None:
    assert intervals.runs_needed(quantile, 0.95) == runs
    assert quantile**runs <= 0.025 < quantile ** (runs - 1)


def test_percentile_refused_when_too_few_runs_can_bound_it() -> None:
    runs = np.random.default_rng(0).random(367)
    assert intervals.percentile(runs, 0.99, 0.95) is None
    assert intervals.percentile(runs, 0.9, 0.95) is not None


def test_p99_refused_when_runs_repeat_each_other() -> None:
    runs = np.repeat(np.random.default_rng(0).random(40), 25)
    assert len(runs) == 1000
    assert intervals.percentile(runs, 0.99, 0.95) is None


@pytest.mark.parametrize("memory", [0.0, 0.9])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_percentile_covers_the_truth_at_about_its_rate_when_noise_remembers(
    memory: float, quantile: float
) -> None:
    truth = float(np.quantile(latencies(np.random.default_rng(99), 400_000, 0.0), quantile))
    covered = []
    for seed in range(150):
        series = latencies(np.random.default_rng(seed), 1000, memory)
        interval = intervals.percentile(series, quantile, 0.95)
        if interval is not None:
            assert interval.low <= interval.value <= interval.high
            covered.append(interval.low <= truth <= interval.high)
    assert len(covered) > 140
    assert np.mean(covered) >= 0.89


def test_typical_covers_its_centre_at_its_rate_when_ten_ratios_are_skewed_alike() -> None:
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(2000):
        size = rng.exponential(0.1, 10) * rng.choice([-1, 1], 10)
        interval = intervals.typical(1.3 * np.exp(size), 0.95)
        assert interval.low <= interval.value <= interval.high
        missed += not interval.low <= 1.3 <= interval.high
    # The 0.1 % and 99.9 % points of a binomial of 2000 trials at the nominal 5 %.
    assert 71 <= missed <= 131


def test_typical_is_the_whole_range_when_five_ratios_are_all_there_is() -> None:
    interval = intervals.typical(np.array([1.0, 1.1, 1.2, 1.3, 2.0]), 0.95)
    assert (interval.low, interval.high) == pytest.approx((1.0, 2.0))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_is_a_proper_interval(sample: tuple[int, int]) -> None:
    hits, trials = sample
    interval = intervals.share(hits, trials, 0.95)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high > interval.low
    mirrored = intervals.share(trials - hits, trials, 0.95)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)


def test_share_agrees_with_wilson_when_computed_by_hand() -> None:
    interval = intervals.share(8, 10, 0.95)
    assert (interval.low, interval.high) == pytest.approx((0.490162, 0.943318), abs=1e-6)


@settings(max_examples=200)
@given(counts)
def test_paired_drop_is_a_proper_interval_and_changes_sign_with_its_arguments(
    sample: tuple[int, int, int],
) -> None:
    pairs, lost, won = sample
    interval = intervals.paired_drop(lost, won, pairs, 0.95)
    assert -1 <= interval.low <= interval.value + 1e-9
    assert interval.value - 1e-9 <= interval.high <= 1
    mirrored = intervals.paired_drop(won, lost, pairs, 0.95)
    assert mirrored.low == pytest.approx(-interval.high, abs=1e-9)
    assert mirrored.high == pytest.approx(-interval.low, abs=1e-9)


@given(st.integers(2, 100_000))
def test_paired_drop_is_as_wide_as_the_sample_deserves_when_nothing_changed(pairs: int) -> None:
    interval = intervals.paired_drop(0, 0, pairs, 0.95)
    z2 = 1.959963984540054**2
    assert interval.high == pytest.approx(z2 / (pairs + z2), rel=1e-6)


def test_paired_drop_covers_the_truth_at_its_rate_when_few_answers_differ() -> None:
    rng = np.random.default_rng(0)
    trials = rng.multinomial(450, [0.02, 0.01, 0.97], size=1500)
    kept = [
        (interval := intervals.paired_drop(int(lost), int(won), 450, 0.95)).low
        <= 0.01
        <= interval.high
        for lost, won, _ in trials
    ]
    assert 0.93 <= np.mean(kept) <= 0.975


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_whole_groups_are_drawn_and_items_within_them_when_items_have_groups(
    sizes: list[int], seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    weights = intervals.resamples(len(groups), 50, seed, groups)
    for draw in weights:
        of_group = np.bincount(groups, draw)
        times = of_group / np.array(sizes)
        assert (times == times.round()).all()
        assert times.sum() == len(sizes)


def test_groups_of_one_item_are_items() -> None:
    groups = np.arange(20)
    assert (intervals.resamples(20, 100, 3, groups) == intervals.resamples(20, 100, 3)).all()


def test_interval_over_groups_covers_the_truth_when_items_of_one_are_alike() -> None:
    """30 videos of 10 frames, all of a video right or wrong: over frames it is much too narrow."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 10)
    held = {"items": 0, "groups": 0}
    for _ in range(200):
        right = (rng.random(30) < 0.8)[groups].astype(np.float64)
        for name, given_groups in (("items", None), ("groups", groups)):
            weights = intervals.resamples(300, 200, 1, given_groups)
            draws = weights @ right / weights.sum(axis=1)
            found = intervals.between(draws, right.mean(), 0.95)
            held[name] += found.low <= 0.8 <= found.high
    assert held["items"] < 120
    assert held["groups"] > 175
