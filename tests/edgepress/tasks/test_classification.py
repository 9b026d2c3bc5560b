"""Classification: scores against counts made by hand, and answers that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from edgepress.data.labels import Seen
from edgepress.data.picture import UnusableError
from edgepress.records.inputs import InputSpec
from tests.classified import open_task

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,))
TASK = open_task(("cat", "dog", "emu"))


def decoded(logits: list[list[float]]) -> dict[str, np.ndarray]:
    return TASK.answers.decode({"logits": np.array(logits, np.float32)}, SPEC)


def test_answer_is_the_highest_class_with_its_softmax() -> None:
    found = decoded([[0.0, 2.0, 1.0]])
    assert found["label"].tolist() == [1]
    assert found["confidence"][0] == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_agree_with_nothing(bad: float) -> None:
    found = decoded([[bad, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert TASK.answers.agreement(found, found).tolist() == [0.0, 1.0]
    scores = TASK.answers.score(found, None, {"label": np.array([0, 1])}, 0.95)
    assert scores[0].value.value == 0.5


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_balanced_accuracy_is_the_mean_recall_of_the_classes_there_are(
    pairs: list[tuple[int, int]],
) -> None:
    truth, mine = (np.array(part) for part in zip(*pairs, strict=True))
    answers = {"label": mine, "confidence": np.ones(len(mine))}
    found = {s.name: s for s in TASK.answers.score(answers, answers, {"label": truth}, 0.95)}
    present = mine[np.isin(mine, truth)]
    if len(present) == len(mine):  # the reference warns of answers that never are true
        assert found["balanced_accuracy"].value.value == pytest.approx(
            balanced_accuracy_score(truth, mine)
        )
    assert found["accuracy"].drop is not None
    assert found["accuracy"].drop.value == 0
    assert found["accuracy"].constant == max(np.bincount(truth)) / len(truth)


def test_every_class_has_its_recall_so_that_a_lost_one_shows() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    answers = {"label": np.zeros(100, np.int64), "confidence": np.ones(100)}
    scores = TASK.answers.score(answers, None, {"label": truth}, 0.95)
    assert TASK.answers.first_score(answers, {"label": truth}) == scores[0].value.value == 0.9
    recalls = {score.of: score.value.value for score in scores if score.of}
    assert recalls == {"cat": 1.0, "dog": 0.0}
    assert scores[0].value.value == 0.9
    assert scores[0].constant == 0.9


@pytest.mark.parametrize("label", [-1, 3, None, "cat"])
def test_label_that_is_no_class_is_refused(label: object) -> None:
    with pytest.raises(UnusableError, match="none of the 3 classes"):
        TASK.labels.admit(label, Seen(8, 8), lambda path: b"")


def test_intervals_are_wider_when_images_come_in_groups() -> None:
    truth, mine = np.zeros(120, np.int64), np.repeat(np.arange(12) % 4 == 3, 10).astype(np.int64)
    answers = {"label": mine, "confidence": np.ones(120)}
    floats = {"label": truth, "confidence": np.ones(120)}
    groups = np.repeat(np.arange(12), 10)
    alone = TASK.answers.score(answers, floats, {"label": truth}, 0.95)[0]
    found = TASK.answers.score(answers, floats, {"label": truth}, 0.95, groups)[0]
    assert alone.drop is not None
    assert found.drop is not None
    for wide, narrow in ((found.value, alone.value), (found.drop, alone.drop)):
        assert wide.value == narrow.value
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
