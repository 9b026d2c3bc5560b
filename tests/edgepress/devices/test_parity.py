"""Parity: numbers for finite logits, failure for anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgepress.devices.parity import INFINITE, parity

logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=2),
    elements=st.floats(-100, 100, width=32),
)


@given(logits)
def test_parity_is_perfect_when_both_are_the_same(values: np.ndarray) -> None:
    same = parity(values, values.copy())
    assert (same.cosine, same.max_abs, same.top1_agreement) == (1.0, 0.0, 1.0)


@given(logits, st.sampled_from([np.nan, np.inf, -np.inf]), st.randoms())
def test_parity_fails_when_one_number_is_not_finite(values, poison, random) -> None:
    spoiled = values.copy()
    spoiled[random.randrange(values.shape[0]), random.randrange(values.shape[1])] = poison
    for pair in ((spoiled, values), (values, spoiled)):
        found = parity(*pair)
        assert (found.cosine, found.top1_agreement, found.max_abs) == (0.0, 0.0, INFINITE)
        assert found.model_validate_json(found.model_dump_json()) == found


def test_parity_is_zero_when_all_outputs_are_zero() -> None:
    assert parity(np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)).cosine == 0.0


def test_parity_counts_agreement_and_the_largest_difference() -> None:
    ours = np.array([[1, 2], [4, 3]], np.float32)
    theirs = np.array([[1, 2], [3, 4.5]], np.float32)
    found = parity(ours, theirs)
    assert (found.max_abs, found.top1_agreement, found.images) == (1.5, 0.5, 2)
    cosine = (1 + (4 * 3 + 3 * 4.5) / (5 * np.hypot(3, 4.5))) / 2
    assert found.cosine == pytest.approx(cosine)


def test_parity_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="reference"):
        parity(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32))
