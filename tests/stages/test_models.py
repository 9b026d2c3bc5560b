"""What training says of its network once it is learnt."""

from __future__ import annotations

import pytest

from edgepress.records.measurement import Interval, Score
from stages.models import warn_collapsed


def score(better: str, low: float, high: float, constant: float | None) -> Score:
    value = Interval(value=(low + high) / 2, low=low, high=high)
    return Score.model_validate(
        {"name": "it", "better": better, "value": value, "constant": constant, "items": 20}
    )


@pytest.mark.parametrize(
    ("better", "low", "high", "constant"),
    [("higher", 0.8, 0.9, 0.5), ("lower", 0.02, 0.03, 0.75), ("higher", 0.1, 0.2, None)],
)
def test_nothing_is_said_when_a_score_is_surely_better_than_one_answer_for_all(
    better: str, low: float, high: float, constant: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_collapsed("train", (score(better, low, high, constant),))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("better", "low", "high", "constant"), [("higher", 0.4, 0.9, 0.5), ("lower", 0.5, 0.8, 0.75)]
)
def test_collapse_is_said_when_a_score_may_be_that_of_one_answer_for_all(
    better: str, low: float, high: float, constant: float, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_collapsed("train", (score(better, low, high, constant),))
    said = capsys.readouterr().err
    assert said.startswith("train: warning: collapsed: it 0.65 is not measurably better than")
