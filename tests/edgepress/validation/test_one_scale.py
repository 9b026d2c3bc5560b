"""Outputs that share one scale of 8 bits are known by their values, in each runtime's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.records.tensors import Arrays
from edgepress.validation.one_scale import sharing

Values = npt.NDArray[Any]


def drawn(rng: np.random.Generator, low: float, high: float) -> Values:
    """Return values as a network gives them: most near the middle, the ends seen."""
    values = np.clip(rng.normal((low + high) / 2, (high - low) / 6, (40, 4, 6, 6)), low, high)
    values.flat[:2] = low, high
    return values.astype(np.float32)


def stepped(values: Values, of: Values, kind: Any = np.float32) -> Values:
    """Return values in 256 steps from the smallest to the largest of `of` and 0."""
    low, high = min(of.min(), 0.0), max(of.max(), 0.0)
    scale = np.float32((high - low) / 255).astype(kind)
    point = np.round(-low / scale)
    integers = np.clip(np.round(values / scale) + point, 0, 255)
    return ((integers - point).astype(kind) * scale).astype(np.float32)


def outputs(rng: np.random.Generator, kind: Any, joined: bool) -> Arrays:
    boxes, scores = drawn(rng, -1.6, 2.1), drawn(rng, -9.4, 3.3)
    every = np.concatenate([boxes, scores])
    return {
        "boxes": stepped(boxes, every if joined else boxes, kind),
        "scores": stepped(scores, every if joined else scores, kind),
    }


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_pair_is_named_when_one_scale_was_chosen_for_both(kind: Any) -> None:
    rng = np.random.default_rng(0)
    assert sharing(outputs(rng, kind, joined=True)) == (("boxes", "scores"),)
    assert sharing(outputs(rng, kind, joined=False)) == ()


def test_pair_is_named_when_the_two_ranges_have_nothing_in_common() -> None:
    rng = np.random.default_rng(0)
    boxes, scores = drawn(rng, 1.0, 4.0), drawn(rng, -12.0, -2.0)
    every = np.concatenate([boxes, scores])
    joined = {"boxes": stepped(boxes, every), "scores": stepped(scores, every)}
    assert sharing(joined) == (("boxes", "scores"),)


def test_no_pair_is_named_when_outputs_are_float_or_whole_numbers_or_nearly_constant() -> None:
    rng = np.random.default_rng(0)
    values = drawn(rng, -9.0, 3.0)
    step = stepped(values, values)
    for other in (values, step.astype(np.int32), np.zeros_like(step), np.round(step / 4) * 4):
        assert sharing({"a": step, "b": other}) == ()


def test_no_pair_is_named_when_each_output_has_its_own_scale_though_ranges_are_alike() -> None:
    """Ranges a thousandth apart and more: what two outputs of one kind may come to have."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(150):
        low, high = -rng.uniform(1, 12), rng.uniform(1, 5)
        near = 1 + rng.choice([-1, 1]) * rng.uniform(0.002, 0.05)
        a, b = drawn(rng, low, high), drawn(rng, low * near, high * near)
        alarms += bool(sharing({"a": stepped(a, a), "b": stepped(b, b)}))
    assert alarms == 0


def test_pair_is_named_when_one_value_is_not_finite() -> None:
    found = outputs(np.random.default_rng(0), np.float32, joined=True)
    found["boxes"].flat[3] = np.nan
    assert sharing(found) == (("boxes", "scores"),)
