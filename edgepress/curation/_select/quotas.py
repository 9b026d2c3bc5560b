"""Exact quotas: the projection of shares of a budget onto a simplex with lower and upper bounds.

The program is: minimise sum_j (x_j - p_j B)^2 subject to sum_j x_j = B and floor_j <= x_j <= size_j
(https://arxiv.org/abs/2401.04578, where an iterative solver and rounding stand in its place).
"""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def allocate(
    sizes: npt.ArrayLike, probabilities: npt.ArrayLike, budget: int, floor: int | npt.ArrayLike
) -> Ints:
    """Return the whole numbers of rows, int64 [k], that come nearest to `probabilities * budget`.

    They sum to `budget` exactly and no whole numbers within the bounds have a smaller squared
    distance; of equals the lower index gets more. `floor` is one number (a concept smaller than it
    gives all it has) or one per concept. Costs O(k log k). Raises UserError where sizes, shares,
    floors and budget do not admit an answer.
    """
    upper = _whole(sizes, "sizes")
    lower = _floors(floor, upper)
    shares = _shares(probabilities, len(upper))
    _refuse_infeasible(upper, lower, budget)
    wanted = shares * float(budget)
    shift = _shift(wanted, lower, upper, budget)
    # Each free entry is rounded down, so what is missing is one each for the entries that were
    # cut the most: the exchange condition for an optimum over the integers then holds.
    quotas = np.clip(np.floor(wanted + shift), lower, upper).astype(np.int64)
    _settle(quotas, wanted, (lower, upper), budget)
    return quotas


def project(
    wanted: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike, total: float
) -> Reals:
    """Return the reals, float64 [k], nearest to `wanted` within the bounds that sum to `total`."""
    wanted, low, high = (np.asarray(values, np.float64) for values in (wanted, lower, upper))
    shift = _shift(wanted, low, high, total)
    return np.asarray(np.clip(wanted + shift, low, high), np.float64)


def _shift(wanted: Reals, lower: Ints | Reals, upper: Ints | Reals, total: float) -> float:
    """Return the t for which clip(wanted + t, lower, upper) sums to `total`.

    The sum is piecewise linear and never falls in t: an entry starts to grow at lower - wanted
    and stops at upper - wanted, so the slope between two neighbouring breaks is a count.
    """
    starts, stops = np.sort(lower - wanted), np.sort(upper - wanted)
    before_start = np.concatenate([[0.0], np.cumsum(starts)])
    before_stop = np.concatenate([[0.0], np.cumsum(stops)])
    least = float(lower.sum())

    def reached(t: float) -> tuple[float, int]:
        """Return the sum at t and how many entries grow right after it."""
        begun = int(np.searchsorted(starts, t, side="right"))
        ended = int(np.searchsorted(stops, t, side="right"))
        sum_begun = begun * t - before_start[begun]
        return least + sum_begun - (ended * t - before_stop[ended]), begun - ended

    edge = float(starts[0])
    for breaks in (starts, stops):
        place = bisect.bisect_right(breaks, total, key=lambda t: reached(t)[0])
        if place:
            edge = max(edge, float(breaks[place - 1]))
    at_edge, slope = reached(edge)
    return edge + (total - at_edge) / slope if slope > 0 else edge


def _settle(quotas: Ints, wanted: Reals, bounds: tuple[Ints, Ints], budget: int) -> None:
    """Add or take single rows, cheapest first, until the sum is the budget; changes `quotas`."""
    lower, upper = bounds
    while (missing := budget - int(quotas.sum())) != 0:
        sign = 1 if missing > 0 else -1
        room = np.flatnonzero(quotas < upper if sign > 0 else quotas > lower)
        cost = sign * (quotas[room] - wanted[room])
        chosen = room[_smallest(cost, min(abs(missing), len(room)))]
        quotas[chosen] += sign


def _smallest(values: Reals, count: int) -> npt.NDArray[np.intp]:
    """Return the places of the `count` smallest values; of equals the first ones."""
    limit = np.partition(values, count - 1)[count - 1]
    below = np.flatnonzero(values < limit)
    tied = np.flatnonzero(values == limit)
    return np.concatenate([below, tied[: count - len(below)]])


def _whole(values: npt.ArrayLike, name: str) -> Ints:
    given = np.asarray(values)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
        raise UserError(
            f"{name}: expected a list of whole numbers, got {given.dtype} {given.shape}"
        )
    if given.min() < 0:
        raise UserError(f"{name}: entry {int(given.argmin())} is {given.min()}, below 0")
    return given.astype(np.int64)


def _floors(floor: int | npt.ArrayLike, upper: Ints) -> Ints:
    given = np.asarray(floor)
    if given.ndim == 0:
        given = np.full(upper.shape, given)
        lower = np.minimum(_whole(given, "floor"), upper)
    else:
        lower = _whole(given, "floor")
    if lower.shape != upper.shape:
        raise UserError(f"floor: {lower.size} floors for {upper.size} sizes; give one per concept")
    above = np.flatnonzero(lower > upper)
    if above.size:
        first = int(above[0])
        raise UserError(f"floor: entry {first} is {lower[first]}, its size only {upper[first]}")
    return lower


def _shares(probabilities: npt.ArrayLike, concepts: int) -> Reals:
    shares = np.asarray(probabilities, np.float64)
    if shares.shape != (concepts,):
        raise UserError(f"probabilities: {shares.shape} for {concepts} sizes; give one per concept")
    if not np.isfinite(shares).all() or shares.min() < 0:
        bad = int(np.flatnonzero(~(np.isfinite(shares) & (shares >= 0)))[0])
        raise UserError(
            f"probabilities: entry {bad} is {shares[bad]}; shares are finite, 0 or more"
        )
    return shares


def _refuse_infeasible(upper: Ints, lower: Ints, budget: int) -> None:
    least, most = int(lower.sum()), int(upper.sum())
    if budget < least:
        raise UserError(
            f"budget: {budget} is below the floors, which sum to {least}; keep more or lower floor"
        )
    if budget > most:
        raise UserError(f"budget: {budget} is more than the {most} rows there are; keep fewer")
