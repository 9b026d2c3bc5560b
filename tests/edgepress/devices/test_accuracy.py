"""Accuracy: paired with the float Bundle, image by image."""

from __future__ import annotations

import numpy as np
import pytest

from edgepress.devices.accuracy import accuracy


def answers(picks: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[picks]


def test_drop_counts_only_answers_that_changed() -> None:
    labels = np.array([0, 1, 2, 0] * 50)
    theirs = answers([0, 1, 2, 1] * 50)
    found = accuracy(answers([0, 1, 1, 0] * 50), theirs, labels, 0.95)
    assert found.top1.value == 0.75
    assert found.drop_points.value == 0.0
    assert found.drop_points.low == pytest.approx(-found.drop_points.high)
    assert found.images == 200


def test_drop_is_in_points() -> None:
    labels = np.zeros(200, np.int64)
    found = accuracy(answers([0] * 190 + [1] * 10), answers([0] * 200), labels, 0.95)
    assert found.drop_points.value == pytest.approx(5.0)
    assert 2.5 < found.drop_points.low < 5.0 < found.drop_points.high < 9.5


def test_image_is_wrong_when_a_logit_is_nan() -> None:
    labels = np.zeros(10, np.int64)
    spoiled = answers([0] * 10)
    spoiled[3, 2] = np.nan
    assert accuracy(spoiled, answers([0] * 10), labels, 0.95).top1.value == 0.9


def test_four_images_prove_no_small_drop() -> None:
    labels = np.zeros(4, np.int64)
    assert accuracy(answers([0] * 4), answers([0] * 4), labels, 0.95).drop_points.high > 40
