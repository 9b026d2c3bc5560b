"""Parity: numbers for finite outputs, failure for anything else, whatever they have in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgepress.validation.parity import INFINITE, compare, parity

logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
    elements=st.floats(-100, 100, width=32),
)


@given(logits)
def test_parity_is_perfect_when_both_are_the_same(values: np.ndarray) -> None:
    same = compare("y", values, values.copy())
    assert (same.error, same.cosine, same.max_abs) == (0.0, 1.0, 0.0)


@given(logits, st.sampled_from([np.nan, np.inf, -np.inf]), st.randoms())
def test_parity_fails_when_one_number_is_not_finite(values, poison, random) -> None:
    spoiled = values.copy()
    spoiled.flat[random.randrange(values.size)] = poison
    for pair in ((spoiled, values), (values, spoiled)):
        found = compare("y", *pair)
        assert (found.error, found.cosine, found.max_abs) == (INFINITE, 0.0, INFINITE)
        assert found.model_validate_json(found.model_dump_json()) == found


@given(st.floats(0, 1000), st.integers(0, 100))
def test_error_is_no_smaller_when_all_answers_share_an_offset(offset: float, seed: int) -> None:
    """The raw cosine goes to 1 with the offset; the centred error stays where it is."""
    rng = np.random.default_rng(seed)
    floats = rng.normal(size=(50, 10))
    ours = floats + 0.3 * rng.normal(size=(50, 10))
    plain = compare("y", ours, floats)
    shared = compare("y", ours + offset, floats + offset)
    assert shared.error == pytest.approx(plain.error, rel=1e-6)
    assert 0.2 < plain.error < 0.4
    assert offset < 10 or shared.cosine > plain.cosine


def test_error_is_that_of_a_factor_when_all_outputs_are_doubled() -> None:
    floats = np.random.default_rng(0).normal(size=(200, 10))
    floats -= floats.mean(axis=0)
    assert compare("y", 2 * floats, floats).error == pytest.approx(1.0)


def test_error_has_no_number_when_the_reference_tells_nothing_apart() -> None:
    alike = np.ones((4, 3), np.float32)
    assert compare("y", alike, alike).error == 0.0
    assert compare("y", alike + 1, alike).error == INFINITE


def test_error_is_the_share_of_differing_elements_when_outputs_are_classes() -> None:
    floats = np.array([[0, 1], [2, 3]], np.int32)
    ours = np.array([[0, 1], [2, 0]], np.int32)
    assert compare("mask", ours, floats).error == 0.25


def test_cosine_is_zero_when_all_outputs_are_zero() -> None:
    assert compare("y", np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)).cosine == 0.0


def test_parity_counts_what_changed_over_all_items() -> None:
    ours = np.array([[1, 2], [4, 3]], np.float32)
    theirs = np.array([[1, 2], [3, 4.5]], np.float32)
    found = parity({"y": ours}, {"y": theirs}, np.array([1.0, 1.0, 0.0, 0.9]))
    assert (found.sample, found.items, found.changed) == (2, 4, 2)
    assert found.agreement == pytest.approx(0.725)
    assert found.outputs[0].max_abs == 1.5
    assert found.error == found.outputs[0].error


def test_parity_refuses_other_shapes_and_names() -> None:
    with pytest.raises(ValueError, match="reference"):
        compare("y", np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="the reference has"):
        parity({"x": np.zeros((1, 1))}, {"y": np.zeros((1, 1))}, np.ones(1))


def test_output_fails_when_it_is_not_finite_outside_of_the_sample() -> None:
    values = {"y": np.arange(6.0).reshape(3, 2), "z": np.arange(3.0).reshape(3, 1)}
    found = parity(values, values, np.ones(9), {"z"})
    assert [each.error for each in found.outputs] == [0.0, INFINITE]
