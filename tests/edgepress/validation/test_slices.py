from __future__ import annotations

import numpy as np
import pytest

from edgepress.records.reference import OpenReference
from edgepress.validation.slices import Items, slices
from tests.classified import open_task

TASK = open_task(("cat", "dog"))
COUNT = 600


def reference(wrong: np.ndarray, groups: np.ndarray | None = None) -> OpenReference:
    label = np.arange(COUNT) % 2
    answers = {"label": np.where(wrong, 1 - label, label), "confidence": np.ones(COUNT, np.float32)}
    ids = tuple(map(str, range(COUNT)))
    return OpenReference(ids, {"label": label}, answers, (), {}, "a" * 64, groups)


def items(side: int | None = None, groups: list[str | None] | None = None) -> Items:
    sizes = [(row % 30 + 1, 10) if side is None else (side, side) for row in range(COUNT)]
    return Items(sizes, [("cat", "dog")[row % 2] for row in range(COUNT)], groups or [])


def test_part_is_marked_when_it_is_worse_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    small = np.arange(COUNT) % 30 < 10
    found = slices(TASK, reference(small & (rng.random(COUNT) < 0.4)), items())
    assert [(each.by, each.worse) for each in found] == [
        ("class", False),
        ("class", False),
        ("size", True),
        ("size", False),
        ("size", False),
    ]
    assert found[2].name == "small, up to 107 pixels"
    assert sum(each.items for each in found if each.by == "size") == COUNT
    assert found[2].score.value.confidence == pytest.approx(1 - 0.05 / 5)


def test_parts_are_marked_by_chance_in_few_runs_when_mistakes_are_anywhere() -> None:
    names: list[str | None] = [f"video {row % 12}" for row in range(COUNT)]
    marked = 0
    for seed in range(20):
        wrong = np.random.default_rng(seed).random(COUNT) < 0.2
        found = slices(TASK, reference(wrong), items(groups=names))
        assert len(found) == 2 + 3 + 12
        marked += any(each.worse for each in found)
    assert marked <= 2


def test_parts_are_none_when_pictures_are_alike_and_have_no_group() -> None:
    found = slices(
        TASK, reference(np.zeros(COUNT, bool)), Items([(8, 8)] * COUNT, ["cat"] * COUNT, [])
    )
    assert found == ()


def test_groups_of_few_images_are_left_out() -> None:
    names: list[str | None] = ["a"] * 300 + ["b"] * 295 + ["few"] * 4 + [None]
    numbers = np.repeat([0, 1, 2, 3], [300, 295, 4, 1])
    found = slices(TASK, reference(np.zeros(COUNT, bool), numbers), items(8, names))
    assert [each.name for each in found if each.by == "group"] == ["a", "b"]
