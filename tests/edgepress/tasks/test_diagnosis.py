"""Diagnoses: curves against pycocotools and scikit-learn, confusions counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve

from edgepress.records.diagnosis import MOST_IN_A_MATRIX, Curve, Diagnosis
from edgepress.tasks import _telling
from edgepress.tasks.detection.diagnosis import _paired
from edgepress.tasks.task import Task
from tests.classified import open_task
from tests.edgepress.tasks.test_average_precision import CLASSES, Knobs, data, evaluated

KINDS = tuple("abcd"[:CLASSES])
DETECTION: dict[str, Any] = {
    "method": "detection",
    "strides": [4],
    "most_objects": 6,
    "most_answers": 20,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.5,
}
SETS: dict[str, Any] = {
    "method": "multilabel",
    "labels": "classes",
    "threshold": 0.5,
    "focus_positive": 0.0,
    "focus_negative": 0.0,
    "margin": 0.0,
}
POINTS: dict[str, Any] = {
    "method": "keypoints",
    "points": ["nose", "tail", "paw"],
    "swaps": [],
    "sigmas": 0.05,
    "tolerance": 0.1,
    "sure": 0.5,
    "form": "heatmap",
    "stride": 4,
    "blur": 1.5,
}


def rows(found: Diagnosis) -> dict[str, dict[str, Any]]:
    """Class -> name of a figure -> its value."""
    assert found.per_class is not None
    names = [column.name for column in found.per_class.columns]
    return {
        row.name: {"items": row.items, **dict(zip(names, row.values, strict=True))}
        for row in found.per_class.rows
    }


def boxed(seed: int, **knobs: Any) -> tuple[Diagnosis, Any, Any]:
    ours, truth = data(Knobs(seed=seed, images=12, levels=1000, **knobs))
    found = Task.open(DETECTION, KINDS, "test").diagnosis(ours, truth)
    return found, ours, truth


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_cocos_when_boxes_are_random(seed: int) -> None:
    found, ours, truth = boxed(seed)
    expected = evaluated(ours, truth).eval["precision"][0, :, :, 0, 0]
    (chart, _) = found.charts
    assert {curve.name for curve in chart.curves} == {
        name for name, there in zip(KINDS, (expected >= 0).all(axis=0), strict=True) if there
    }
    for curve in chart.curves:
        index = KINDS.index(curve.name)
        np.testing.assert_allclose(curve.y, expected[:, index], atol=1e-4)
        assert curve.value == pytest.approx(expected[:, index].mean())


@pytest.mark.parametrize("seed", range(4))
def test_sure_boxes_are_right_as_often_as_coco_says(seed: int) -> None:
    found, ours, truth = boxed(seed)
    judged = (truth["category"] >= 0) & ~truth["crowd"] & ~truth["ignore"]
    # All above `sure` are one step of the curve: its recall times the objects is what is right.
    alone = {**ours, "category": np.where(ours["scores"] >= 0.5, ours["category"], -1)}
    recall = evaluated(alone, truth).eval["recall"][0, :, 0, 0]
    for index, name in enumerate(KINDS):
        items = int((judged & (truth["category"] == index)).sum())
        if items:
            assert rows(found)[name]["items"] == items
            assert rows(found)[name]["right"] == round(recall[index] * items)
            assert rows(found)[name]["missed"] == items - round(recall[index] * items)


def test_box_of_another_class_is_a_confusion_and_one_of_nothing_background() -> None:
    truth = {
        "boxes": np.float32([[[0, 0, 10, 10], [20, 20, 40, 40], [50, 0, 60, 10]]]),
        "category": np.int32([[0, 1, 2]]),
        "crowd": np.zeros((1, 3), bool),
        "ignore": np.zeros((1, 3), bool),
        "area": np.float32([[100, 400, 100]]),
        "scale": np.float32([[1, 1]]),
    }
    ours = {  # right; taken for the first; found nothing; not sure
        "boxes": np.float32(
            [[[0, 0, 10, 10], [20, 20, 40, 38], [70, 70, 80, 80], [50, 0, 60, 10]]]
        ),
        "scores": np.float32([[0.9, 0.8, 0.7, 0.2]]),
        "category": np.int32([[0, 0, 1, 2]]),
    }
    found = Task.open(DETECTION, ("cat", "dog", "emu"), "test").diagnosis(ours, truth)
    assert found.confusion is not None
    assert found.confusion.truths == ("cat", "dog", "emu", "background")
    assert found.confusion.answers == ("cat", "dog", "emu", "background")
    assert found.confusion.counts == ((1, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (0, 1, 0, 0))
    assert rows(found)["cat"] | {"ap": 0, "ap_50": 0} == {
        "items": 1, "ap": 0, "ap_50": 0, "right": 1, "missed": 0, "false": 1,
    }  # fmt: skip
    assert found.charts[0].curves[0].mark == (1.0, 0.5)


def test_class_comes_before_overlap_when_a_box_lies_over_two_objects() -> None:
    overlap = np.array([[0.9, 0.55]])
    assert _paired(overlap, np.array([[False, True]])) == [(0, 1), (-1, 0)]
    assert _paired(overlap, np.array([[False, False]])) == [(0, 0), (-1, 1)]


def test_curves_are_another_librarys_when_classes_are_ranked() -> None:
    rng = np.random.default_rng(0)
    present = (rng.random((80, 3)) < (0.5, 0.2, 0.0)).astype(np.uint8)
    logits = np.round(2.0 * present + rng.normal(0, 1, present.shape) - 1, 1)
    task = Task.open(SETS, ("cat", "dog", "emu"), "test")
    ours = task.answers.decode({"logits": logits}, None)  # type: ignore[arg-type]
    found = task.diagnosis(ours, {"present": present})
    assert [curve.name for curve in found.charts[0].curves] == ["cat", "dog"]
    for index, curve in enumerate(found.charts[0].curves):
        precision, recall, _ = precision_recall_curve(present[:, index], ours["scores"][:, index])
        expected = [precision[recall >= x - 1e-12][-1] for x in curve.x[1:]]
        # Theirs falls from the right; the last point that has a recall has the highest threshold.
        np.testing.assert_allclose(curve.y[1:], expected, atol=1e-4)
        score = average_precision_score(present[:, index], ours["scores"][:, index])
        assert curve.value == pytest.approx(score)
        given = logits[:, index] >= 0
        hits = int((given & (present[:, index] == 1)).sum())
        assert curve.mark == pytest.approx((hits / present[:, index].sum(), hits / given.sum()))
        row = rows(found)[curve.name]
        assert (row["right"], row["false"]) == (hits, int(given.sum()) - hits)
        assert row["missed"] == present[:, index].sum() - hits
    assert rows(found)["emu"]["ap"] is None


def test_confusion_is_another_librarys_when_images_have_a_class() -> None:
    rng = np.random.default_rng(1)
    real, label = rng.integers(0, 3, (2, 200))
    ours = {"label": label, "confidence": rng.random(200).astype(np.float32)}
    found = open_task(("cat", "dog", "emu")).diagnosis(ours, {"label": real})
    assert found.confusion is not None
    assert np.array(found.confusion.counts).tolist() == confusion_matrix(real, label).tolist()
    assert found.confusion.pairs[0].count == max(pair.count for pair in found.confusion.pairs)
    right = label == real
    assert rows(found)["dog"]["recall"] == pytest.approx(right[real == 1].mean())
    assert rows(found)["dog"]["precision"] == pytest.approx(right[label == 1].mean())


def test_calibration_error_is_what_is_counted_by_hand() -> None:
    ours = {
        "label": np.array([0, 1, 1, 0, -1]),
        "confidence": np.float32([0.9, 0.9, 0.5, 0.5, 0]),
    }
    found = open_task(("cat", "dog")).diagnosis(ours, {"label": np.array([0, 1, 0, 0, 1])})
    # Bins: two at 0.9 that are right, two at 0.5 of which one is, and no answer: sure and wrong.
    assert found.figures[0].value == pytest.approx((0.2 + 0.0 + 1.0) / 5)
    assert found.charts[0].curves[0].x == (0.5, 0.9, 1.0)
    assert found.charts[0].curves[0].y == (0.5, 1.0, 0.0)
    assert found.charts[0].curves[0].weights == (0.4, 0.4, 0.2)
    assert found.confusion is not None
    assert found.confusion.answers == ("cat", "dog", "no answer")
    assert found.confusion.counts == ((2, 1, 0), (0, 1, 1))


def test_pixels_are_counted_but_those_that_are_ignored() -> None:
    truth = np.uint8([[[0, 0, 1, 255]], [[1, 1, 0, 0]]])
    ours = np.uint8([[[0, 1, 1, 1]], [[1, 254, 0, 0]]])
    task = Task.open(
        {"method": "segmentation", "ignore_index": 255, "argmax": True}, ("a", "b", "c"), "test"
    )
    found = task.diagnosis({"mask": ours}, {"mask": truth})
    assert found.confusion is not None
    assert found.confusion.counts == ((3, 1, 0), (0, 2, 1))
    assert rows(found)["b"] == {
        "items": 2, "iou": 2 / 4, "dice": 4 / 6, "recall": 2 / 3, "precision": 2 / 3,
    }  # fmt: skip
    assert "without a confidence" in found.notes[0]
    scores = task.answers.score({"mask": ours}, None, {"mask": truth}, 0.95)
    by = {(score.name, score.of): score.value.value for score in scores}
    assert by["iou", "b"] == rows(found)["b"]["iou"]


def test_points_within_a_tolerance_are_the_gated_share_at_the_mark() -> None:
    truth = {
        "points": np.zeros((4, 3, 2), np.float32),
        "visible": np.int8([[2, 2, 0]] * 4),
        "scale": np.ones((4, 2), np.float32),
        "size": np.full((4, 1), 100, np.float32),
        "frame": np.full((4, 2), 100, np.float32),
        "area": np.ones((4, 1), np.float32),
    }
    places = truth["points"].copy()
    places[:, 0, 0] = [0, 5, 10, 20]
    places[0, 1] = np.nan
    task = Task.open(POINTS, ("mouse",), "test")
    ours = {"points": places, "scores": np.ones((4, 3), np.float32)}
    found = task.diagnosis(ours, truth)
    nose, tail = found.charts[0].curves
    assert nose.mark == (0.1, 0.75)
    assert nose.y[0] == 0.25
    assert nose.y[-1] == 1.0
    assert nose.x[-1] == found.charts[0].x_high == 0.2
    assert (tail.name, tail.value) == ("tail", 0.75)
    assert rows(found)["nose"] == {
        "items": 4, "pck": 0.75, "median_error": pytest.approx(0.075), "right": 3, "missed": 1,
    }  # fmt: skip


def test_mean_and_the_worst_are_shown_when_curves_are_too_many() -> None:
    def curve(value: float) -> Curve:
        return Curve(name=f"{value:.2f}", x=(0.0, 1.0), y=(value, 0.0), value=value)

    many = [curve(place / 20) for place in range(20)]
    few = _telling.readable(many)
    assert len(_telling.readable(many[:12])) == 12
    assert [each.name for each in few] == ["mean of 20", *(f"{n / 20:.2f}" for n in range(6))]
    mean = np.mean([each.y[0] for each in many])
    assert (few[0].value, few[0].y[0]) == (pytest.approx(mean), pytest.approx(mean))


def test_pairs_stand_for_the_matrix_when_classes_are_too_many() -> None:
    count = MOST_IN_A_MATRIX + 1
    counts = np.diag(np.full(count + 1, 9))
    counts[3, 5], counts[7, 1] = 4, 6
    names = tuple(f"c{place}" for place in range(count))
    found = _telling.confusion("images", names, "none", counts)
    assert (found.truths, found.answers, found.counts) == ((), (), ())
    assert [(pair.truth, pair.answer, pair.count, pair.of) for pair in found.pairs] == [
        ("c7", "c1", 6, 15),
        ("c3", "c5", 4, 13),
    ]
    whole = _telling.confusion("images", names[:-1], "none", counts[1:, 1:])
    assert len(whole.counts) == MOST_IN_A_MATRIX + 1


EMPTY: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "boxes": (
        DETECTION,
        {
            "boxes": np.zeros((2, 3, 4), np.float32),
            "scores": np.zeros((2, 3), np.float32),
            "category": np.int32([[-9, -1, -1], [-1, -1, -1]]),
        },
        {
            "boxes": np.zeros((2, 1, 4), np.float32),
            "category": np.int32([[-1], [-1]]),
            "crowd": np.zeros((2, 1), bool),
            "ignore": np.zeros((2, 1), bool),
            "area": np.zeros((2, 1), np.float32),
            "scale": np.ones((2, 2), np.float32),
        },
    ),
    "sets": (
        SETS,
        {"scores": np.zeros((2, 2), np.float32), "present": np.uint8([[255, 255], [0, 0]])},
        {"present": np.zeros((2, 2), np.uint8)},
    ),
    "points": (
        POINTS,
        {"points": np.full((1, 3, 2), np.nan), "scores": np.full((1, 3), -1.0)},
        {
            "points": np.zeros((1, 3, 2)),
            "visible": np.int8([[0, 0, 0]]),
            "scale": np.ones((1, 2)),
            "size": np.ones((1, 1)),
        },
    ),
}


@pytest.mark.parametrize("case", EMPTY)
def test_diagnosis_is_made_when_there_is_nothing_and_no_answer(case: str) -> None:
    entry, ours, truth = EMPTY[case]
    found = Task.open(entry, ("a", "b"), "test").diagnosis(ours, truth)
    assert found.charts[0].curves == ()
    assert Diagnosis.model_validate_json(found.model_dump_json()) == found
