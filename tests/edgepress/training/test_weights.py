from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from edgepress.errors import UserError
from edgepress.tasks.balance import Shown
from edgepress.training.weights import BETA, weights

NAMES = ("cat", "dog", "emu")
LABELS = np.repeat([0, 1, 2], [900, 90, 10])
SHOWN = Shown(np.arange(1000), LABELS, 1000, 3)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(weights("balanced", SHOWN, NAMES), expected)


def test_effective_numbers_weigh_as_the_paper_says_and_one_on_average() -> None:
    raw = np.array([(1 - BETA) / (1 - BETA**count) for count in (900, 90, 10)])
    found = weights("effective_number", SHOWN, NAMES)
    np.testing.assert_allclose(found / found[0], raw / raw[0])
    assert found[LABELS].mean() == pytest.approx(1)
    assert 10 < found[2] / found[0] < 90


def test_weights_are_of_labels_given_when_items_show_several_classes() -> None:
    several = Shown(np.array([0, 0, 1, 3]), np.array([0, 1, 0, 0]), 5, 3)
    np.testing.assert_allclose(weights("balanced", several, NAMES), [4 / (2 * 3), 4 / 2, 1.0])


def test_mapping_is_taken_as_it_is_and_other_classes_weigh_one() -> None:
    assert weights({"emu": 7.5}, SHOWN, NAMES).tolist() == [1.0, 1.0, 7.5]


def test_unknown_class_is_refused_by_name() -> None:
    words = r"class_weights.em: no such class \(did you mean emu\?\); the 3 are cat, dog, emu"
    with pytest.raises(UserError, match=words):
        weights({"em": 2.0}, SHOWN, NAMES)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("balance", "expected one of none, balanced, effective_number, or a mapping"),
        ({"cat": 0.0}, "cat: expected a weight above 0"),
        ({"cat": "two"}, "cat: expected a weight above 0"),
        ({"cat": True}, "cat: expected a weight above 0"),
        (2.0, "expected one of none, balanced"),
    ],
)
def test_weights_are_refused_when_they_are_none(value: Any, words: str) -> None:
    from edgepress.methods import resolve
    from tests.edgepress.training.test_loop import RECIPE

    with pytest.raises(UserError, match=rf"recipe.class_weights: .*{words}"):
        resolve("training", {**RECIPE, "class_weights": value}, "params.yaml", "train.recipe")
