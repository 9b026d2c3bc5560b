"""Two runs on the same items: pairs by id, the sign of a gain, and what is no fair comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepress import intervals
from edgepress.errors import UserError
from edgepress.records.predictions import OpenPredictions
from edgepress.validation.comparison import Comparison, Finished, changed, compare
from tests.classified import open_task

CLASSES = ("cat", "dog")
ITEMS = 200


def run(
    name: str, wrong: range, items: range = range(ITEMS), params: Mapping[str, Any] | None = None
) -> Finished:
    """Return a run that is wrong about the items of these numbers."""
    numbers = np.array(items)
    truth = numbers % 2
    label = np.where(np.isin(numbers, np.array(wrong)), 1 - truth, truth)
    answers = {"label": label, "confidence": np.full(len(numbers), 0.9, np.float32)}
    ids = tuple(f"item-{number}" for number in items)
    return Finished(
        name=name,
        params=params or {},
        task=open_task(CLASSES),
        truth=OpenPredictions(ids, {"label": truth}),
        groups=None,
        predictions={"student": OpenPredictions(ids, answers)},
    )


def compared(first: Finished, second: Finished, *, shared: bool = False) -> Comparison:
    return compare(first, second, 0.95, shared=shared)


def test_second_is_better_by_the_paired_interval_when_it_is_right_more_often() -> None:
    row = compared(run("a", range(0, 40)), run("b", range(30, 45))).rows[0]
    assert (row.model, row.score) == ("student", "accuracy")
    assert (row.first.value, row.second.value) == (0.8, 0.925)
    # 30 items were won, 5 lost.
    expected = intervals.paired_drop(5, 30, ITEMS, 0.95)
    assert row.gain is not None
    assert row.gain.value == pytest.approx(0.125)
    assert (row.gain.low, row.gain.high) == (-expected.high, -expected.low)
    assert row.verdict == "better"
    assert compared(run("a", range(30, 45)), run("b", range(0, 40))).rows[0].verdict == "worse"


def test_gain_is_unclear_when_few_answers_differ() -> None:
    row = compared(run("a", range(0, 10)), run("b", range(1, 10))).rows[0]
    assert row.verdict == "unclear"


def test_items_are_paired_by_id_when_their_order_differs() -> None:
    backwards = run("b", range(0, 40), range(ITEMS - 1, -1, -1))
    row = compared(run("a", range(0, 40)), backwards).rows[0]
    assert row.gain is not None
    assert row.gain == compared(run("a", range(0, 40)), run("b", range(0, 40))).rows[0].gain
    assert row.gain.value == 0


def test_other_splits_are_refused_with_the_number_shared_when_nobody_asked_for_them() -> None:
    first, second = run("a", range(0, 40)), run("b", range(0, 20), range(50, 300))
    with pytest.raises(UserError, match="150 items are in both of 200 and 250; --shared"):
        compared(first, second)
    found = compared(first, second, shared=True)
    assert found.items == 150
    assert (found.rows[0].first.value, found.rows[0].second.value) == (1.0, 1.0)
    with pytest.raises(UserError, match="a and b: no test item is in both"):
        compared(first, run("b", range(0), range(900, 950)), shared=True)


def test_nothing_is_paired_when_labels_differ() -> None:
    first, second = run("a", range(0)), run("b", range(0))
    label = second.truth.answers["label"].copy()
    label[:3] = 1 - label[:3]
    relabelled = replace(second, truth=OpenPredictions(second.truth.ids, {"label": label}))
    found = compared(first, relabelled)
    assert found.notes == ("labels of 3 of 200 items differ: nothing is paired",)
    assert found.rows[0].gain is None
    assert (found.rows[0].first.value, found.rows[0].second.value) == (1.0, 0.985)
    wide = OpenPredictions(second.truth.ids, {"label": np.stack([label, label], axis=1)})
    first = replace(first, truth=wide, predictions={})
    with pytest.raises(UserError, match="no model or target has stored answers in both"):
        compared(first, second)


def test_intervals_are_over_groups_when_items_have_them() -> None:
    first, second = run("a", range(0, 40)), run("b", range(30, 45))
    videos = np.arange(ITEMS) // 20
    grouped = compared(replace(first, groups=videos), replace(second, groups=videos)).rows[0]
    single = compared(first, second).rows[0]
    assert grouped.gain is not None
    assert single.gain is not None
    assert grouped.gain.low < single.gain.low


def test_other_classes_and_missing_answers_are_refused_by_name() -> None:
    first, second = run("a", range(0)), run("b", range(0))
    with pytest.raises(UserError, match="other classes .cat, dog against cat, cow"):
        compared(first, replace(second, task=open_task(("cat", "cow"))))
    held = second.predictions["student"]
    short = OpenPredictions(held.ids[1:], {k: v[1:] for k, v in held.answers.items()})
    with pytest.raises(UserError, match="b: student: no answer to the test item item-0"):
        compared(first, replace(second, predictions={"student": short}))


def test_what_one_run_has_alone_is_said_when_targets_differ() -> None:
    first, second = run("a", range(0)), run("b", range(0))
    more = {**second.predictions, "x86_64-litert-int8": second.predictions["student"]}
    found = compared(first, replace(second, predictions=more))
    assert found.notes == ("with answers in b alone: x86_64-litert-int8",)
    assert {row.model for row in found.rows} == {"student"}


def test_params_are_named_by_dotted_key_when_they_differ() -> None:
    before = {"seed": 0, "train": {"recipe": {"epochs": 4, "batch": 8}}, "gone": [1]}
    after = {"seed": 0, "train": {"recipe": {"epochs": 8, "batch": 8}, "new": {}}}
    found = [(each.key, each.first, each.second) for each in changed(before, after)]
    assert found == [
        ("train.recipe.epochs", 4, 8),
        ("train.new", "not there", {}),
        ("gone", [1], "not there"),
    ]


def test_params_of_named_recipes_are_compared_when_an_entry_names_one() -> None:
    named = {"train": {"recipe": {"base": "small_data", "epochs": 4}}}
    other = {"train": {"recipe": {"base": "small_data", "epochs": 4, "clip": None}}}
    gone = {"train": {"recipe": {"base": "of_old", "epochs": 4}}}
    assert [(each.key, each.first, each.second) for each in changed(named, other)] == [
        ("train.recipe.clip", 1.0, None)
    ]
    found = {each.key: (each.first, each.second) for each in changed(gone, named)}
    assert found["train.recipe.base"] == ("of_old", "small_data")
    assert found["train.recipe.sampler.method"] == ("not there", "square_root")
