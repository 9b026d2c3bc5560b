from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from edgepress.curation._select.quotas import allocate, project
from edgepress.errors import UserError


def _cost(quotas: Any, shares: Any, budget: int) -> Fraction:
    wanted = [Fraction(float(share) * float(budget)) for share in shares]
    gaps = ((Fraction(int(x)) - y) ** 2 for x, y in zip(quotas, wanted, strict=True))
    return sum(gaps, start=Fraction(0))


@st.composite
def _problems(draw: st.DrawFn, most: int = 7, deepest: int = 5) -> tuple[Any, ...]:
    sizes = draw(st.lists(st.integers(0, deepest), min_size=1, max_size=most))
    floors = [draw(st.integers(0, size)) for size in sizes]
    weights = [draw(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0])) for _ in sizes]
    total = sum(weights) or 1.0
    budget = draw(st.integers(sum(floors), sum(sizes)))
    return sizes, [weight / total for weight in weights], budget, floors


@settings(max_examples=300, deadline=None)
@given(_problems(most=5, deepest=4))
def test_allocate_is_the_best_of_all_whole_numbers(problem: tuple[Any, ...]) -> None:
    sizes, shares, budget, floors = problem
    quotas = allocate(sizes, shares, budget, floors)
    boxes = [range(low, high + 1) for low, high in zip(floors, sizes, strict=True)]
    feasible = [x for x in itertools.product(*boxes) if sum(x) == budget]
    best = min(_cost(x, shares, budget) for x in feasible)
    assert tuple(quotas) in feasible
    # Two roundings apart where float64 shares make a tie that exact numbers would break.
    assert _cost(quotas, shares, budget) <= best + Fraction(1, 10**12)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400))
def test_allocate_meets_the_exchange_condition_when_problems_are_large(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 10_000, k)
    floors = (sizes * rng.random(k) * 0.3).astype(np.int64)
    shares = rng.dirichlet(np.full(k, 0.3))
    budget = int(rng.integers(floors.sum(), sizes.sum() + 1))
    quotas = allocate(sizes, shares, budget, floors)
    assert quotas.dtype == np.int64
    assert int(quotas.sum()) == budget
    assert ((floors <= quotas) & (quotas <= sizes)).all()
    over = quotas - shares * budget
    can_give, can_take = quotas > floors, quotas < sizes
    if can_give.any() and can_take.any():
        # Moving one row from i to j changes the cost by 2 (over_j - over_i + 1).
        assert over[can_give].max() - over[can_take].min() <= 1 + 1e-6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_project_is_never_beaten_by_a_general_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 8))
    upper = rng.integers(1, 50, k).astype(float)
    lower = np.floor(upper * rng.random(k) * 0.4)
    wanted = rng.normal(10, 20, k)
    total = float(rng.uniform(lower.sum(), upper.sum()))
    x = project(wanted, lower, upper, total)
    assert x.sum() == pytest.approx(total, abs=1e-8)
    assert ((lower <= x) & (x <= upper)).all()
    rival = minimize(
        lambda z: ((z - wanted) ** 2).sum(),
        np.clip(np.full(k, total / k), lower, upper),
        jac=lambda z: 2 * (z - wanted),
        bounds=list(zip(lower, upper, strict=True)),
        constraints={"type": "eq", "fun": lambda z: z.sum() - total},
        method="SLSQP",
    )
    slack = 1e-6 * (1 + rival.fun)
    assert ((x - wanted) ** 2).sum() <= rival.fun + slack


def test_quotas_move_nothing_when_the_shares_already_fit() -> None:
    assert allocate([10, 10, 10], [0.2, 0.3, 0.5], 10, 1).tolist() == [2, 3, 5]


def test_surplus_of_a_full_concept_is_shared_evenly() -> None:
    assert allocate([5, 50, 50], [0.8, 0.1, 0.1], 45, 0).tolist() == [5, 20, 20]


def test_floor_gives_all_there_is_when_a_concept_is_smaller_than_it() -> None:
    assert allocate([2, 0, 50], [0.0, 0.0, 1.0], 20, 5).tolist() == [2, 0, 18]


def test_equal_shares_differ_by_one_at_most_and_the_first_get_more() -> None:
    assert allocate([9, 9, 9], [1 / 3] * 3, 11, 0).tolist() == [4, 4, 3]


@pytest.mark.parametrize(
    ("sizes", "shares", "budget", "floor", "clause"),
    [
        ([5, 5], [0.5, 0.5], 3, 2, "below the floors, which sum to 4"),
        ([5, 5], [0.5, 0.5], 11, 1, "more than the 10 rows"),
        ([5, 5], [0.5, 0.5], 4, [6, 0], "floor: entry 0 is 6"),
        ([5, 5], [0.5, 0.5], 4, [1], "1 floors for 2 sizes"),
        ([5, -1], [0.5, 0.5], 4, 0, "sizes: entry 1 is -1"),
        ([5.5, 1], [0.5, 0.5], 4, 0, "sizes: expected a list of whole numbers"),
        ([], [], 0, 0, "sizes: expected a list"),
        ([5, 5], [0.5, float("nan")], 4, 0, "probabilities: entry 1 is nan"),
        ([5, 5], [1.0], 4, 0, "give one per concept"),
    ],
)
def test_allocate_refuses_when_there_is_no_answer(
    sizes: Any, shares: Any, budget: int, floor: Any, clause: str
) -> None:
    with pytest.raises(UserError, match=clause):
        allocate(sizes, shares, budget, floor)
