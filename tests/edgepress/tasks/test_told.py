"""Answers for other programs: in the picture's own pixels, whatever was fitted into the input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from edgepress.data.placement import Frame, placement
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from tests import spots

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,), fit="letterbox")
WIDE = Frame((32, 16), placement((32, 16), SPEC))


def opened(entry: dict[str, Any], *classes: str) -> Task:
    return Task.open(entry, classes, "test")


def test_places_are_the_pictures_when_a_window_of_it_was_fitted() -> None:
    frame = Frame((16, 32), placement((16, 32), SPEC), corner=(100, 7))
    # A letterbox of 8 pixels shows 16 x 32 in 4 x 8 of them, two from the left.
    np.testing.assert_allclose(frame.points(np.array([2.0, 0.0])), [100, 7])
    np.testing.assert_allclose(frame.points(np.array([6.0, 8.0])), [116, 39])
    np.testing.assert_allclose(frame.boxes(np.array([[0, 0, 8, 8.0]])), [[100, 7, 116, 39]])


def test_class_and_score_are_told_when_classified() -> None:
    task = opened({"method": "classification"}, "cat", "dog")
    raw = {"logits": np.array([[0.0, np.log(3.0)]], np.float32)}
    told = task.told(task.answers.decode(raw, SPEC), WIDE)
    assert told is not None
    assert told["class"] == "dog"
    assert abs(told["score"] - 0.75) < 1e-6
    broken = task.answers.decode({"logits": np.full((1, 2), np.nan, np.float32)}, SPEC)
    assert task.told(broken, WIDE) is None


def test_given_classes_and_all_scores_are_told_when_multilabel() -> None:
    entry = {"method": "multilabel", "labels": "classes", "threshold": 0.5}
    task = opened({**entry, "focus_positive": 0, "focus_negative": 0, "margin": 0}, "a", "b", "c")
    answer = task.answers.decode({"logits": np.array([[2.0, -2.0, 0.5]], np.float32)}, SPEC)
    told = task.told(answer, WIDE)
    assert told is not None
    assert told["classes"] == ["a", "c"]
    assert list(told["scores"]) == ["a", "b", "c"]


def test_masks_are_run_lengths_of_the_pictures_own_pixels_when_segmented() -> None:
    task = opened({"method": "segmentation", "ignore_index": None, "argmax": False}, "no", "yes")
    logits = np.zeros((1, 2, 8, 8), np.float32)
    logits[0, 1, 2:4, 4:] = 1  # the picture lies in rows 2 to 6: its upper right quarter
    told = task.told(task.answers.decode({"logits": logits}, SPEC), WIDE)
    assert told is not None
    yes = told["segments"][1]
    assert (yes["class"], yes["share"], yes["mask"]["size"]) == ("yes", 0.25, [16, 32])
    runs = yes["mask"]["counts"]
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    mask = flat.reshape(32, 16).T
    assert mask[:8, 16:].all()
    assert mask.sum() == 128
    json.dumps(told)


def test_points_are_told_by_name_and_nothing_when_not_finite() -> None:
    frame = Frame((64, 64), placement((64, 64), spots.SPEC))
    maps = np.full((1, 4, 16, 16), -9.0, np.float32)
    maps[0, :, 3, 5] = 9
    told = spots.TASK.told(spots.TASK.answers.decode({"heatmaps": maps}, spots.SPEC), frame)
    assert told is not None
    nose = told["points"]["nose"]
    assert nose["sure"]
    np.testing.assert_allclose([nose["x"], nose["y"]], [22, 14], atol=0.5)
    broken = spots.TASK.answers.decode({"heatmaps": maps * np.nan}, spots.SPEC)
    assert spots.TASK.told(broken, frame) is None
