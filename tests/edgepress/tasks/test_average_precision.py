"""Average precision, held against pycocotools, and its bootstrap against images really repeated."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgepress.records.tensors import Arrays
from edgepress.tasks import _average_precision
from edgepress.tasks._average_precision import Matched, match, mean
from edgepress.tasks._matching import RANGES
from edgepress.tasks.detection import boxes

CLASSES = 4  # the last never has an object
SIDES = np.array([8, 24, 32, 48, 96, 128])  # areas of 32^2 and 96^2 lie on the borders of ranges
SCALES = np.array([[1, 1], [0.5, 2], [1.5, 0.25], [3, 3]], np.float32)  # exact in float32


@dataclass(frozen=True)
class Knobs:
    """What a random data set is like."""

    seed: int
    images: int = 4
    objects: int = 6
    answers: int = 12
    levels: int = 8
    """Different scores there are: few make ties."""
    crowded: float = 0.2
    ignored: float = 0.2
    scaled: bool = True


def boxes_near(rng: np.random.Generator, shape: tuple[int, ...], around: np.ndarray) -> np.ndarray:
    """Boxes [*shape, 4] in pixels of the picture, most a little off one of `around` [N, M, 4]."""
    size = rng.choice(SIDES, (*shape, 2))
    low = rng.integers(0, 25, (*shape, 2)) * 8
    strange = np.concatenate([low, low + size], axis=-1)
    if not around.shape[1]:
        return strange
    whose = rng.integers(around.shape[1], size=shape)
    near = np.take_along_axis(around, whose[..., None], axis=1) + rng.integers(-3, 4, (*shape, 4))
    near[..., 2:] = np.maximum(near[..., 2:], near[..., :2] + 1)
    return np.where(rng.random((*shape, 1)) < 0.75, near, strange)


def data(knobs: Knobs) -> tuple[Arrays, Arrays]:
    """Answers and truth in pixels of the input, places without one among them."""
    rng = np.random.default_rng(knobs.seed)
    shape = (knobs.images, knobs.objects)
    real = boxes_near(rng, shape, np.zeros((knobs.images, 0, 4)))
    category = rng.integers(-1, CLASSES - 1, shape).astype(np.int32)
    category[rng.random(knobs.images) < 0.2] = -1
    area = (real[..., 2] - real[..., 0]) * (real[..., 3] - real[..., 1]) * rng.choice([0.5, 1, 2])
    scale = SCALES[rng.integers(len(SCALES), size=knobs.images) * knobs.scaled]
    truth = {
        "boxes": (real * np.tile(scale, 2)[:, None]).astype(np.float32),
        "category": category,
        "crowd": rng.random(shape) < knobs.crowded,
        "ignore": rng.random(shape) < knobs.ignored,
        "area": area.astype(np.float32),
        "scale": scale,
    }
    shape = (knobs.images, knobs.answers)
    found = boxes_near(rng, shape, real)
    kinds = rng.integers(-1, CLASSES, shape).astype(np.int32)
    silent = rng.random(knobs.images) < 0.15
    kinds[silent] = -1
    kinds[silent, :1] = -9
    ours = {
        "boxes": (found * np.tile(scale, 2)[:, None]).astype(np.float32),
        "scores": (rng.integers(1, knobs.levels + 1, shape) / knobs.levels).astype(np.float32),
        "category": kinds,
    }
    return ours, truth


def overlap(ours: Arrays, truth: Arrays) -> np.ndarray:
    mine, real = ours["boxes"].astype(np.float64), truth["boxes"].astype(np.float64)
    return boxes.with_crowds(mine, real, truth["crowd"])


def matched(ours: Arrays, truth: Arrays, limit: int = 100) -> Matched:
    return match(ours, truth, CLASSES, overlap, limit)


def whole(ours: Arrays, truth: Arrays, size: str = "all", limit: int = 100) -> np.ndarray:
    ones = np.ones((1, len(truth["category"])))
    return matched(ours, truth, limit).within(size).precision(ones)[0]


def listing(arrays: Arrays, scale: np.ndarray) -> list[dict]:
    """Annotations as COCO's files have them; what is ignored has an area outside every range."""
    found = []
    for image, place in np.argwhere(arrays["category"] >= 0).tolist():
        corners = arrays["boxes"][image, place].astype(np.float64) / np.tile(scale[image], 2)
        size = corners[2:] - corners[:2]
        each = {
            "id": len(found) + 1,
            "image_id": image,
            "category_id": int(arrays["category"][image, place]),
            "bbox": [*corners[:2].tolist(), *size.tolist()],
            "iscrowd": 0,
        }
        if "scores" in arrays:
            each |= {"area": size.prod(), "score": float(arrays["scores"][image, place])}
        else:
            ignored = arrays["ignore"][image, place]
            each["area"] = -1.0 if ignored else float(arrays["area"][image, place])
            each["iscrowd"] = int(arrays["crowd"][image, place])
        found.append(each)
    return found


def evaluated(ours: Arrays, truth: Arrays, limit: int = 100) -> COCOeval:
    """Let pycocotools hold answers against the truth."""
    scale = truth["scale"].astype(np.float64)
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for arrays in (truth, ours):
            side = COCO()
            side.dataset = {
                "images": [{"id": image} for image in range(len(scale))],
                "categories": [{"id": index} for index in range(CLASSES)],
                "annotations": listing(arrays, scale),
            }
            side.createIndex()
            sides.append(side)
        judge = COCOeval(*sides, "bbox")
        judge.params.maxDets = [limit]
        judge.evaluate()
        judge.accumulate()
    return judge


def reference(ours: Arrays, truth: Arrays, limit: int = 100) -> dict[str, np.ndarray]:
    """Size -> average precision [10, classes] by pycocotools, NaN where it has none."""
    judge = evaluated(ours, truth, limit)
    precision = judge.eval["precision"][..., 0]  # [overlaps, recalls, classes, sizes]
    told = np.where((precision < 0).all(axis=1), np.nan, precision.mean(axis=1))
    return {name: told[..., at] for at, name in enumerate(judge.params.areaRngLbl)}


def same(ours: Arrays, truth: Arrays, limit: int = 100) -> None:
    expected = reference(ours, truth, limit)
    assert set(expected) == set(RANGES)
    for size, values in expected.items():
        np.testing.assert_allclose(whole(ours, truth, size, limit), values, atol=1e-6, rtol=0)


@settings(max_examples=120, deadline=None)
@given(
    st.builds(
        Knobs,
        seed=st.integers(0, 2**32 - 1),
        images=st.integers(1, 6),
        objects=st.integers(1, 8),
        answers=st.integers(1, 25),
        levels=st.sampled_from([1, 3, 1000]),
        crowded=st.sampled_from([0, 0.3]),
        ignored=st.sampled_from([0, 0.3]),
        scaled=st.booleans(),
    )
)
def test_precision_is_cocos_when_sets_are_random(knobs: Knobs) -> None:
    same(*data(knobs))


@pytest.mark.parametrize("limit", [1, 7, 100, 300])
def test_precision_is_cocos_when_images_have_more_answers_than_are_judged(limit: int) -> None:
    ours, truth = data(Knobs(seed=3, images=3, answers=220, levels=50))
    ours["category"][ours["category"] == 2] = 0
    assert (np.bincount(ours["category"][0].clip(0)) > 100).any()
    same(ours, truth, limit)


def test_precision_is_cocos_when_many_objects_want_the_same_answers() -> None:
    for seed in range(5):
        ours, truth = data(Knobs(seed, images=2, objects=30, answers=90))
        truth["boxes"][:] = truth["boxes"][:, :1] + np.arange(30)[:, None] % 4
        same(ours, truth)


def test_answer_takes_cocos_object_when_it_overlaps_two_alike() -> None:
    _, truth = data(Knobs(seed=0, images=1, objects=2, ignored=0, crowded=0, scaled=False))
    truth["category"][:] = 0
    truth["boxes"][0] = [[0, 0, 10, 10], [4, 0, 14, 10]]
    ours = {
        "boxes": np.float32([[[2, 0, 12, 10], [5, 0, 15, 10]]]),
        "scores": np.float32([[0.9, 0.8]]),
        "category": np.zeros((1, 2), np.int32),
    }
    same(ours, truth)
    assert whole(ours, truth)[0, 0] == pytest.approx(51 / 101)  # the last: none is left for both


def test_precision_is_nothing_when_there_is_no_answer_and_none_when_there_is_no_object() -> None:
    ours, truth = data(Knobs(seed=5))
    silent = {**ours, "category": np.full_like(ours["category"], -1)}
    same(silent, truth)
    found = whole(silent, truth)
    assert (found[:, :3] == 0).all()
    assert np.isnan(found[:, 3]).all()
    empty = {**truth, "category": np.full_like(truth["category"], -1)}
    same(ours, empty)
    assert np.isnan(whole(ours, empty)).all()


def test_precision_is_one_when_answers_are_the_objects() -> None:
    _, truth = data(Knobs(seed=6, ignored=0, crowded=0))
    ours = {
        "boxes": truth["boxes"],
        "scores": np.ones(truth["category"].shape, np.float32),
        "category": truth["category"],
    }
    assert (whole(ours, truth)[:, :3] == 1).all()


def drawn(seed: int, images: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=12)


def repeated(arrays: Arrays, counts: np.ndarray) -> Arrays:
    return {name: np.repeat(values, counts, axis=0) for name, values in arrays.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", ["all", "medium"])
def test_draws_are_the_sets_with_images_repeated(seed: int, size: str) -> None:
    knobs = Knobs(seed, images=9, answers=16)
    ours, truth = data(knobs)
    rng = np.random.default_rng(seed)  # each image has its scores once: ties are between images
    ours["scores"] = rng.permuted(np.tile(np.arange(1, 17), (9, 1)), axis=1).astype(np.float32)
    counts = drawn(seed, knobs.images)
    found = matched(ours, truth).within(size).precision(counts.astype(np.float64))
    for row, count in enumerate(counts):
        really = reference(repeated(ours, count), repeated(truth, count))[size]
        np.testing.assert_allclose(found[row], really, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(6))
def test_draws_break_ties_as_the_whole_set_does_when_answers_of_an_image_tie(seed: int) -> None:
    knobs = Knobs(seed, images=9, answers=16, levels=2)
    ours, truth = data(knobs)
    order = np.argsort(-ours["scores"].ravel(), kind="stable")
    apart = np.zeros(order.size, np.float32)
    apart[order] = np.arange(order.size, 0, -1)  # the whole set's order, without ties
    untied = {**ours, "scores": apart.reshape(ours["scores"].shape)}
    counts = drawn(seed, knobs.images)
    found = matched(ours, truth).precision(counts.astype(np.float64))
    for row, count in enumerate(counts):
        really = whole(repeated(untied, count), repeated(truth, count))
        np.testing.assert_allclose(found[row], really, atol=1e-12, rtol=0)


def test_draws_say_nothing_of_a_class_that_they_have_not() -> None:
    ours, truth = data(Knobs(seed=8, images=2, ignored=0, crowded=0))
    truth["category"][0], truth["category"][1] = 0, 1
    found = matched(ours, truth).precision(np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert np.isnan(found).all(axis=1).tolist() == [
        [False, True, True, True],
        [True, False] + [True] * 2,
    ]


def test_draws_are_the_same_when_few_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    these = matched(*data(Knobs(seed=9, images=9)))
    counts = drawn(0, 9).astype(np.float64)
    expected = these.precision(counts)
    monkeypatch.setattr(_average_precision, "_CELLS", 50)
    assert np.array_equal(these.precision(counts), expected, equal_nan=True)


def test_items_are_images_with_the_class_when_any_is_judged() -> None:
    ours, truth = data(Knobs(seed=0, images=3))
    for side in (ours, truth):
        side["category"][:] = -1
    truth["category"][0, 0] = truth["category"][1, 0] = 0
    truth["crowd"][:], truth["ignore"][:] = False, False
    truth["ignore"][1, 0] = True
    ours["category"][2, :2] = 0
    ours["category"][2, 2] = 1
    assert matched(ours, truth).items.tolist() == [2, 0, 0, 0]


def test_overlap_is_the_callers_when_another_is_asked_for() -> None:
    ours, truth = data(Knobs(seed=1, images=8, answers=40, crowded=0, ignored=0))
    ours["points"], truth["points"] = ours["boxes"][..., :2], truth["boxes"][..., :2]

    def by_points(mine: Arrays, real: Arrays) -> np.ndarray:
        far = np.abs(mine["points"][:, None] - real["points"][None]).max(axis=-1)
        return np.where(far <= 2, 0.72, 0.0)

    found = match(ours, truth, CLASSES, by_points).precision(np.ones((1, 8)))[0, :, :3]
    assert (found[:5] == found[0]).all()
    assert (found[0] > 0).all()
    assert (found[5:] == 0).all()


def test_mean_leaves_out_what_is_not_there() -> None:
    values = np.array([[0.2, np.nan], [np.nan, np.nan]])
    assert float(mean(values)) == pytest.approx(0.2)
    assert mean(values, axis=1).tolist() == pytest.approx([0.2, 0.0])
    assert np.isnan(mean(values, axis=1, nothing=np.nan)[1])
