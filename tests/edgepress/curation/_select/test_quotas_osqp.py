from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.curation._select.quotas import allocate, project

osqp = pytest.importorskip("osqp", reason="the oracle comes with the bench extra")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_project_is_never_above_the_iterative_solver_and_meets_the_budget(
    seed: int, k: int
) -> None:
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 300, k)
    floors = (sizes * rng.random(k) * 0.3).astype(np.int64)
    budget = int(rng.integers(floors.sum(), sizes.sum() + 1))
    wanted = rng.dirichlet(np.full(k, 0.4)) * budget
    solver = osqp.OSQP()
    solver.setup(
        P=sp.eye(k, format="csc"), q=-wanted,
        A=sp.vstack([sp.csc_matrix(np.ones((1, k))), sp.eye(k)], format="csc"),
        l=np.concatenate([[budget], floors]).astype(float),
        u=np.concatenate([[budget], sizes]).astype(float),
        eps_abs=1e-6, eps_rel=1e-6, max_iter=20_000, verbose=False,
    )  # fmt: skip
    rival = solver.solve().x
    exact = project(wanted, floors, sizes, budget)
    cost, other = ((exact - wanted) ** 2).sum(), ((rival - wanted) ** 2).sum()
    assert exact.sum() == pytest.approx(budget, abs=1e-6)
    # The solver may stop a little outside the bounds; by duality that saves it this much at most.
    outside = max(abs(rival.sum() - budget), (floors - rival).max(), (rival - sizes).max(), 0.0)
    saved = outside * 4 * (k + 1) * float(np.abs(exact - wanted).max())
    assert outside < 0.1
    assert cost <= other + saved + 1e-6
    assert allocate(sizes, wanted / max(budget, 1), budget, floors).sum() == budget
