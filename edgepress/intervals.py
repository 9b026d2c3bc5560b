"""Confidence intervals for what is measured: percentiles, ratios, shares and paired drops.

None of them assumes a distribution of latencies. Percentiles: order statistics, with the binomial's
number of trials reduced for autocorrelation by batch means. Ratios: Hodges-Lehmann with the
signed-rank interval, exact under randomised order whatever the noise. Shares: Wilson (1927). Paired
drops: Tango's score interval, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgepress.records.measurement import Interval

Floats = npt.NDArray[np.float64]
_BATCHES = 20


def runs_needed(quantile: float, confidence: float) -> int:
    """Return the fewest independent runs that can bound a quantile from both sides."""
    tail = (1 - confidence) / 2
    return math.ceil(math.log(tail) / math.log(max(quantile, 1 - quantile)))


def effective_runs(samples: Floats, quantile: float) -> int:
    """Return how many independent runs the series is worth for this quantile, at most its length.

    The share of runs below the quantile is averaged over 20 stretches of time; where stretches
    differ by more than chance allows, or resemble their neighbours, runs repeat one another.
    """
    cut = np.quantile(samples, quantile, method="inverted_cdf")
    # Where many runs tie with the quantile, only one of the two tells stretches apart.
    return min(_worth(samples <= cut, quantile), _worth(samples < cut, quantile))


def percentile(samples: Floats, quantile: float, confidence: float) -> Interval | None:
    """Return a quantile with its order-statistic interval; None where the runs cannot bound it."""
    ordered = np.sort(samples)
    runs, worth = len(samples), effective_runs(samples, quantile)
    if worth < runs_needed(quantile, confidence):
        return None
    tail = (1 - confidence) / 2
    chance = _binomial_cdf(worth, quantile)
    low = int(np.searchsorted(chance, tail)) / worth
    high = (int(np.searchsorted(chance, 1 - tail)) + 1) / worth
    value = float(np.quantile(ordered, quantile, method="inverted_cdf"))
    return Interval(
        value=value,
        low=min(value, float(ordered[max(0, math.floor(low * runs) - 1)])),
        high=max(value, float(ordered[min(runs, math.ceil(high * runs)) - 1])),
        confidence=confidence,
    )


def typical(ratios: Floats, confidence: float) -> Interval:
    """Return the typical one of positive ratios whose two sides were drawn by lot.

    With fewer than six of them the interval is their whole range.
    """
    logs = np.log(ratios)
    count = len(logs)
    first, second = np.triu_indices(count)
    averages = np.sort((logs[first] + logs[second]) / 2)
    spread = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    rank = max(0, math.floor(count * (count + 1) / 4 - _z(confidence) * spread))
    return Interval(
        value=math.exp(float(np.median(averages))),
        low=math.exp(float(averages[rank])),
        high=math.exp(float(averages[-rank - 1])),
        confidence=confidence,
    )


def share(hits: int, trials: int, confidence: float) -> Interval:
    """Return hits / trials with Wilson's interval."""
    z2 = _z(confidence) ** 2
    centre = (hits + z2 / 2) / (trials + z2)
    half = math.sqrt(z2 * (hits * (trials - hits) / trials + z2 / 4)) / (trials + z2)
    value = hits / trials
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(value=value, low=min(low, value), high=max(high, value), confidence=confidence)


def paired_drop(lost: int, won: int, pairs: int, confidence: float) -> Interval:
    """Return (lost - won) / pairs with Tango's score interval, which is wide even at no change."""
    z = _z(confidence)
    value = (lost - won) / pairs
    low = _root(lambda drop: _score(lost, won, pairs, drop) - z, -1.0, value)
    high = _root(lambda drop: _score(lost, won, pairs, drop) + z, value, 1.0)
    return Interval(value=value, low=low, high=high, confidence=confidence)


def resamples(
    items: int, draws: int = 1000, seed: int = 0, groups: npt.NDArray[np.int64] | None = None
) -> Floats:
    """Return how often each item is drawn in each of `draws` bootstrap samples, [draws, items].

    With `groups` [items], numbered from 0 without a gap, whole groups are drawn and then items
    within each that was drawn (Davison and Hinkley 1997, section 3.8): what frames of one video
    have in common widens the interval, one group alone is sampled by items, and groups of one item
    are no groups.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return _drawn(rng, items, draws).astype(np.float64)
    sizes = np.bincount(groups)
    times = _drawn(rng, len(sizes), draws)
    weights = times[:, groups].astype(np.float64)
    for group in np.flatnonzero(sizes > 1).tolist():
        size = int(sizes[group])
        each = rng.multinomial(times[:, group] * size, np.full(size, 1 / size))
        weights[:, groups == group] = each
    return weights


def wider(one: Interval, draws: Floats) -> Interval:
    """Return an interval, drawn out to that of bootstrap samples of the same value."""
    other = between(draws, one.value, one.confidence)
    return one.model_copy(
        update={"low": min(one.low, other.low), "high": max(one.high, other.high)}
    )


def between(draws: Floats, value: float, confidence: float) -> Interval:
    """Return a value with the bootstrap's percentile interval; draws that are NaN say nothing."""
    told = draws[np.isfinite(draws)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(told, [tail, 1 - tail]).tolist() if len(told) else (value, value)
    return Interval(value=value, low=min(low, value), high=max(high, value), confidence=confidence)


def _drawn(rng: np.random.Generator, items: int, draws: int) -> npt.NDArray[np.int64]:
    return rng.multinomial(items, np.full(items, 1 / items), size=draws)


def _worth(below: npt.NDArray[np.bool_], quantile: float) -> int:
    runs = len(below)
    stretch = max(1, runs // _BATCHES)
    means = below[: runs // stretch * stretch].reshape(-1, stretch).mean(axis=1)
    centred = means - means.mean()
    scatter = float(centred @ centred)
    if scatter == 0.0:
        return runs
    count = len(means)
    serial = float(centred[1:] @ centred[:-1]) / scatter
    # Below one standard error, a serial correlation is chance.
    serial = min(serial + 1 / count, 0.9) if serial > count**-0.5 else 0.0
    variance = scatter / (count - 1) / count * (1 + serial) / (1 - serial)
    return max(1, min(runs, round(quantile * (1 - quantile) / variance)))


def _score(lost: int, won: int, pairs: int, drop: float) -> float:
    """Standardised distance of the observed drop from a supposed one; falls as `drop` grows."""
    b = -lost - won + (2 * pairs - lost + won) * drop
    c = -won * drop * (1 - drop)
    won_share = (math.sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * won_share + drop * (1 - drop))
    distance = lost - won - pairs * drop
    if variance <= 0.0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _binomial_cdf(trials: int, chance: float) -> Floats:
    counts = np.arange(trials + 1)
    logs = np.array([math.lgamma(count + 1) for count in range(trials + 1)])
    chances = logs[-1] - logs - logs[::-1] + counts * math.log(chance)
    return np.cumsum(np.exp(chances + (trials - counts) * math.log1p(-chance)))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)
