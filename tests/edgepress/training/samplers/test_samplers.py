"""How often images come: by hand, and over many epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepress.methods import names, resolve
from edgepress.tasks.balance import Shown
from edgepress.training.sampling import Floats, drawn

COUNTS = (70, 25, 5)
LABELS = np.repeat([0, 1, 2], COUNTS)
ONE = Shown(np.arange(100), LABELS, 100, 4)
SEVERAL = Shown(np.array([0, 1, 1, 2, 4]), np.array([0, 0, 1, 0, 0]), 5, 2)
"""Item 1 shows both classes, item 3 none."""
ENTRIES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "balanced": {},
    "square_root": {},
    "repeat_factor": {"threshold": 0.2},
}


def often(name: str, shown: Shown) -> Floats | None:
    found: Floats | None = resolve(
        "training.samplers", {"method": name, **ENTRIES[name]}, "test", "sampler"
    )(lambda: shown)
    return found


def epochs(name: str, shown: Shown, count: int) -> np.ndarray:
    weight = often(name, shown)
    rows = [drawn(weight, shown.items, np.random.default_rng([3, e])) for e in range(count)]
    return np.stack(rows)


def test_every_sampler_is_tried_here() -> None:
    assert set(names("training.samplers")) == set(ENTRIES)


def test_uniform_is_the_permutation_it_always_was() -> None:
    expected = np.random.default_rng([3, 0]).permutation(100)
    assert epochs("uniform", ONE, 1)[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("balanced", np.full(3, 1 / 3)),
        ("square_root", np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()),
        ("repeat_factor", np.array([70, 25, 5 * 2]) / 105),
    ],
)
def test_classes_come_as_often_as_the_sampler_says(name: str, shares: np.ndarray) -> None:
    rows = epochs(name, ONE, 60)
    assert rows.shape == (60, 100)
    each = np.stack([np.bincount(LABELS[row], minlength=3) for row in rows])
    np.testing.assert_allclose(each.mean(0) / 100, shares, atol=0.005)
    assert np.ptp(each, axis=0).max() <= 4  # no epoch is far from the others


@pytest.mark.parametrize("name", ["balanced", "square_root", "repeat_factor"])
def test_no_image_comes_more_than_one_off_what_is_due_to_it(name: str) -> None:
    weight = often(name, ONE)
    assert weight is not None
    due = weight * 100 / weight.sum()
    for row in epochs(name, ONE, 20):
        off = np.abs(np.bincount(row, minlength=100) - due)
        assert off.max() < 1


def test_image_of_several_classes_comes_as_its_rarest_and_one_of_none_as_ever() -> None:
    assert often("balanced", SEVERAL) == pytest.approx([0.625, 2.5, 0.625, 1.0, 0.625])
    assert often("square_root", SEVERAL) == pytest.approx(np.sqrt([0.625, 2.5, 0.625, 1, 0.625]))
    repeat = resolve(
        "training.samplers", {"method": "repeat_factor", "threshold": 0.8}, "test", "sampler"
    )(lambda: SEVERAL)
    assert repeat == pytest.approx([1.0, 2.0, 1.0, 1.0, 1.0])


def test_rows_are_the_same_when_seed_and_epoch_are_and_others_otherwise() -> None:
    first, again = epochs("balanced", ONE, 2), epochs("balanced", ONE, 2)
    assert (first == again).all()
    assert (first[0] != first[1]).any()


def test_all_images_are_taken_once_when_all_classes_are_as_large() -> None:
    even = Shown(np.arange(12), np.repeat([0, 1, 2], 4), 12, 3)
    assert sorted(epochs("balanced", even, 1)[0].tolist()) == list(range(12))
