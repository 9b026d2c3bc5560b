"""Keypoints: labels checked at the door, places that come back between steps, scores by hand."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgepress.data.labels import Seen
from edgepress.data.picture import UnusableError
from edgepress.data.preprocess import decode
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.training.augment import Shift

CLASSES = ("mouse", "rat")
SPEC = InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
ENTRY: dict[str, Any] = {
    "method": "keypoints",
    "points": ["nose", "left", "right", "tail"],
    "swaps": [["left", "right"]],
    "sigmas": [0.02, 0.04, 0.04, 0.1],
    "tolerance": 0.1,
    "sure": 0.5,
    "form": "heatmap",
    "stride": 4,
    "blur": 1.5,
}
FORMS: dict[str, dict[str, Any]] = {
    "heatmap": {},
    "heatmap of stride 1": {"stride": 1, "blur": 2.0},
    "simcc": {"form": "simcc", "stride": 0.5, "blur": 4.0},
    "simcc of whole pixels": {"form": "simcc", "stride": 1, "blur": 1.0},
}
TASKS = {name: Task.open({**ENTRY, **more}, CLASSES, "test") for name, more in FORMS.items()}
TASK = TASKS["heatmap"]
every_form = pytest.mark.parametrize("name", FORMS)
POINTS = [[10.5, 8, 2], [4, 16.25, 2], [22, 17, 1], [50, 40, 2]]


def thing(points: Any = POINTS, **changed: Any) -> dict[str, Any]:
    plain = {"category": 1, "box": [2, 4, 62, 44], "rings": None, "area": None}
    flat = [float(value) for point in points for value in point]
    return {**plain, "crowd": False, "ignore": False, "points": flat, **changed}


def no_file(path: str) -> bytes:
    raise AssertionError(path)


def admit(*objects: dict[str, Any], seen: Seen | None = None, relative: bool = False) -> Any:
    label = {"width": None, "height": None, "relative": relative, "objects": list(objects)}
    return TASK.labels.admit(label, seen or Seen(64, 48), no_file)


def truth_of(*items: dict[str, Any], spec: InputSpec = SPEC, seen: Seen | None = None) -> Arrays:
    parts = [
        TASK.labels.truth(admit(each, seen=seen).label, spec, no_file)
        for each in items or [thing()]
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([], "label: holds no object, this task takes one a picture"),
        ([thing(crowd=True)], "holds no object"),
        ([thing(), thing()], "label: holds 2 objects, this task takes one a picture"),
        ([thing(POINTS[:3])], "label: has 3 points, task.points names 4"),
        ([thing([[0, 0, 0]] * 4)], "no label: none of the object's 4 points is labelled"),
        ([thing([*POINTS[:3], [70, 9, 2]])], "a point lies outside the picture of 64 x 48"),
        ([thing([*POINTS[:3], [7, 9, 3]])], "visible is 0, 1 or 2"),
        ([thing(category=2)], "class 2 is none of the 2"),
    ],
)
def test_label_is_refused_with_its_reason_when_it_cannot_be(
    objects: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(UnusableError, match=words):
        admit(*objects)


def test_object_counts_for_its_class_when_crowds_and_ignored_ones_lie_beside_it() -> None:
    found = admit(thing(crowd=True), thing(category=0), thing(ignore=True))
    assert found.classes == (0,)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_truth_follows_the_pixels_when_the_picture_is_fitted(fit: str) -> None:
    picture = np.zeros((100, 40), np.uint8)
    picture[60:80, 8:16] = 255
    file = BytesIO()
    Image.fromarray(picture).save(file, "png")
    spec = SPEC.model_copy(update={"fit": fit})
    pixels = decode(file.getvalue(), spec)[..., 0]
    corners = thing([[8, 60, 2], [16, 60, 2], [16, 80, 2], [8, 80, 2]], box=None)
    truth = truth_of(corners, spec=spec, seen=Seen(40, 100))
    rows, columns = np.nonzero(pixels > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    found = np.concatenate([truth["points"][0].min(0), truth["points"][0].max(0)])
    assert np.abs(found - seen).max() <= 1
    # What it is judged by stays in the picture's pixels.
    assert (truth["size"][0, 0], truth["area"][0, 0]) == (20, 160)


def raw_for(task: Task, points: Any, spec: InputSpec = SPEC, height: float = 1.0) -> Arrays:
    """Outputs of a network that has learnt its targets for points [N, K, 2] to the end."""
    stride, blur = task.params.stride, task.params.blur  # type: ignore[attr-defined]
    bells = []
    for axis, side in enumerate((spec.width, spec.height)):
        steps = (np.arange(np.ceil(side / stride)) + 0.5) * stride
        off = (steps - np.asarray(points)[..., axis, None]) / stride
        bells.append(-(off**2) / (2 * blur**2))
    if len(task.answers.outputs(spec)) == 2:
        return dict(zip("xy", (bell.astype(np.float32) for bell in bells), strict=True))
    share = np.exp(bells[1][..., :, None] + bells[0][..., None, :]) * height
    share = np.clip(share, 1e-12, 1 - 1e-7)
    return {"heatmaps": (np.log(share) - np.log1p(-share)).astype(np.float32)}


@every_form
@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 63.5), st.floats(0.5, 47.5))
def test_clean_peak_comes_back_to_a_tenth_of_a_pixel_wherever_it_is(
    name: str, x: float, y: float
) -> None:
    task = TASKS[name]
    found = task.answers.decode(raw_for(task, [[[x, y]] * 4]), SPEC)
    assert np.abs(found["points"] - [x, y]).max() < 0.1


@every_form
def test_peaks_are_not_biased_when_noise_is_added(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(0)
    points = rng.uniform(12, 36, (400, 4, 2))
    raw = raw_for(task, points, height=0.9)
    noisy = {key: each + rng.normal(0, 0.02, each.shape) for key, each in raw.items()}
    off = task.answers.decode(noisy, SPEC)["points"] - points
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.02
    assert np.sqrt((off**2).mean()) < 0.25


def test_confidence_is_the_peak_of_a_map_and_the_mass_of_bins() -> None:
    middle = np.full((1, 4, 2), 30.0)  # of a place of stride 4
    heights = TASK.answers.decode(raw_for(TASK, middle, height=0.7), SPEC)["scores"]
    assert heights == pytest.approx(0.7, abs=1e-5)
    bins = TASKS["simcc"]
    assert bins.answers.decode(raw_for(bins, middle), SPEC)["scores"].min() > 0.99
    flat = {name: np.zeros_like(each) for name, each in raw_for(bins, middle).items()}
    # 13 bins of 128 across, 13 of 96 down, where the first is the peak.
    assert bins.answers.decode(flat, SPEC)["scores"] == pytest.approx(13 / 128 * 13 / 96)


@every_form
def test_answer_is_none_when_one_number_is_not_finite(name: str) -> None:
    task, truth = TASKS[name], truth_of(thing(), thing())
    raw = raw_for(task, truth["points"])
    for each in raw.values():
        each[1, 3, ..., 0] = np.inf
    found = task.answers.decode(raw, SPEC)
    assert (found["scores"][1] == -1).all()
    assert np.isnan(found["points"][1]).all()
    assert task.answers.agreement(found, found).tolist() == [1, 0]
    pck, oks, error = task.answers.score(found, None, truth, 0.95)[:3]
    assert task.answers.first_score(found, truth) == 0.5
    assert (pck.value.value, oks.value.value) == (0.5, pytest.approx(0.5, abs=1e-3))
    assert error.value.value == pytest.approx(0.5, abs=1e-3)


def answer(points: Any, scores: float = 0.9) -> Arrays:
    places = np.array(points, np.float32)
    return {
        "points": places,
        "scores": np.full(places.shape[:2], scores, np.float32),
        "frame": np.repeat(np.float32([[64, 48]]), len(places), axis=0),
    }


def test_scores_are_those_counted_by_hand() -> None:
    truth = truth_of(thing(area=900.0), thing([[0, 0, 0], *POINTS[1:]], area=900.0))
    moved = truth["points"].copy()
    moved[0, 0] += [3, 4]  # 5 of 60 pixels: within a tenth
    moved[0, 1] += [0, 7]  # not within
    moved[1, 0] += 30  # has no label
    found = TASK.answers.score(answer(moved), None, truth, 0.95)
    by = {(score.name, score.of): score.value.value for score in found}
    assert by["pck", None] == pytest.approx(6 / 7)
    assert by["pck", "nose"] == 1
    assert by["pck", "left"] == 0.5
    # COCO: exp(-d^2 / (2 s^2 (2 sigma)^2)), the mean of an object's labelled points.
    first = (np.exp(-25 / (2 * 900 * 0.04**2)) + np.exp(-49 / (2 * 900 * 0.08**2)) + 2) / 4
    assert by["oks", None] == pytest.approx((first + 1) / 2)
    assert by["mean_error", None] == pytest.approx((5 + 7) / 60 / 7)
    assert {score.of: score.items for score in found if score.of}["nose"] == 1
    assert [score.better for score in found[:3]] == ["higher", "higher", "lower"]


def test_scores_are_in_the_pictures_pixels_when_the_input_is_stretched() -> None:
    truth = truth_of(spec=SPEC.model_copy(update={"width": 128}))
    moved = truth["points"] + np.float32([11, 0])  # 5.5 of the picture's, of a box of 60
    assert TASK.answers.score(answer(moved), None, truth, 0.95)[0].value.value == 1
    moved = truth["points"] + np.float32([13, 0])
    assert TASK.answers.score(answer(moved), None, truth, 0.95)[0].value.value == 0


def test_constant_is_what_the_mean_pose_scores() -> None:
    near = [[x + 4, y, v] for x, y, v in POINTS]
    far = [[x, y, v] for x, y, v in POINTS]
    truth = truth_of(thing(near), thing(far))
    pck, _, error = TASK.answers.score(answer(truth["points"]), None, truth, 0.95)[:3]
    assert pck.constant == 1  # 2 pixels from both, 6 would do
    assert error.constant == pytest.approx(2 / 60)


def test_drops_are_worse_is_positive_for_every_score() -> None:
    truth = truth_of(thing(), thing())
    good, bad = answer(truth["points"]), answer(truth["points"] + np.float32([9, 0]))
    for score in TASK.answers.score(bad, good, truth, 0.95)[:3]:
        assert score.drop is not None
        assert score.drop.low > 0
    for score in TASK.answers.score(good, good, truth, 0.95)[:3]:
        assert score.drop is not None
        assert (score.drop.low, score.drop.high) == (0, 0)


def test_interval_holds_the_true_share_when_points_of_an_image_fall_together() -> None:
    """Whole images are drawn: were points evidence each, half as many intervals would hold it."""
    rng, held, truth = np.random.default_rng(0), 0, truth_of(*[thing()] * 60)
    for _ in range(100):
        wrong = (rng.random((60, 1, 1)) < 0.3) * np.float32([9.0, 0.0])
        value = TASK.answers.score(answer(truth["points"] + wrong), None, truth, 0.95)[0].value
        held += value.low <= 0.7 <= value.high
    assert held >= 88


def test_agreement_is_one_only_where_nothing_differs() -> None:
    pose = np.array([[[10, 8], [4, 16], [22, 17], [54, 40]]], np.float32)  # 50 wide: 5 are near
    floats = answer(pose)
    alike = TASK.answers.agreement
    assert alike(floats, floats).tolist() == [1]
    assert alike(answer(pose + 1e-4, 0.9005), floats).tolist() == [1]
    assert alike(answer(pose + np.float32([1, 0])), floats)[0] == pytest.approx(0.8)
    assert alike(answer(pose + np.float32([5, 0])), floats)[0] == 0
    assert alike(answer(pose, 0.09), floats)[0] == pytest.approx(0.1 / 0.91)
    swapped = pose[:, [0, 2, 1, 3]]
    assert alike(answer(swapped), floats)[0] == pytest.approx(0.5)


def test_point_that_neither_is_sure_of_counts_little_when_its_place_differs() -> None:
    pose = np.array([[[10, 8], [4, 16], [22, 17], [54, 40]]], np.float32)
    floats, ours = answer(pose, 1.0), answer(pose, 1.0)
    floats["scores"][0, 3] = ours["scores"][0, 3] = 0.01
    ours["points"][0, 3] = [30, 30]
    assert TASK.answers.agreement(ours, floats)[0] == pytest.approx(3 / 3.1)


def test_answer_is_held_against_a_truth_when_the_report_sorts() -> None:
    truth = truth_of(thing([*POINTS[:3], [0, 0, 0]]))
    moved = truth["points"].copy()
    moved[0, 3] = 40
    assert TASK.answers.agreement(answer(moved, 0.3), truth).tolist() == [1]


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(values)) for name, values in arrays.items()}


def blank(task: Task, items: int = 1) -> dict[str, torch.Tensor]:
    return {
        spec.name: torch.zeros(items, *spec.shape[1:], requires_grad=True)
        for spec in task.learner.outputs(SPEC)
    }


@every_form
def test_loss_falls_to_the_truth_when_the_outputs_are_learnt(name: str) -> None:
    task, truth, outputs = TASKS[name], truth_of(), blank(TASKS[name])
    optimizer = torch.optim.Adam(outputs.values(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        task.learner.loss(outputs, tensors(truth))["loss"].backward()
        optimizer.step()
    found = task.answers.decode({k: v.detach().numpy() for k, v in outputs.items()}, SPEC)
    assert np.abs(found["points"] - truth["points"]).max() < 0.3
    assert found["scores"].min() > 0.7


@every_form
def test_loss_is_nothing_when_the_outputs_are_the_targets(name: str) -> None:
    task, truth = TASKS[name], truth_of()
    raw = tensors(raw_for(task, truth["points"].astype(np.float64)))
    assert float(task.learner.loss(raw, tensors(truth))["loss"]) == pytest.approx(0, abs=2e-3)


@every_form
def test_nothing_is_learnt_from_points_without_a_label(name: str) -> None:
    task, outputs = TASKS[name], blank(TASKS[name])
    truth = tensors(truth_of(thing([[0, 0, 0], *POINTS[1:]])))
    task.learner.loss(outputs, truth)["loss"].backward()
    for values in outputs.values():
        assert values.grad is not None
        assert (values.grad[:, 0] == 0).all()
        assert all((values.grad[:, index] != 0).any() for index in (1, 2, 3))
    nothing, outputs = {**truth, "visible": torch.zeros(1, 4)}, blank(task)
    loss = task.learner.loss(outputs, nothing)["loss"]
    loss.backward()
    assert float(loss.detach()) == 0


@every_form
def test_divergence_is_nothing_when_student_and_teacher_are_one(name: str) -> None:
    task, generator = TASKS[name], torch.Generator().manual_seed(0)
    teacher = {
        spec.name: torch.randn(spec.shape, generator=generator)
        for spec in task.learner.outputs(SPEC)
    }
    other = {key: torch.randn(each.shape, generator=generator) for key, each in teacher.items()}
    assert float(task.learner.divergence(teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-5)
    near = float(task.learner.divergence({k: 0.9 * v for k, v in teacher.items()}, teacher, 2.0))
    assert 0 < near < float(task.learner.divergence(other, teacher, 2.0))


@pytest.mark.parametrize("flips", [(False, False), (True, True), (True, False)])
def test_points_follow_their_pixels_when_pictures_are_moved(flips: tuple[bool, bool]) -> None:
    picture = torch.zeros(2, 4, 48, 64)  # a picture for each point, one pixel of it bright
    places = [(10, 8), (4, 16), (22, 17), (50, 40)]
    for index, (column, row) in enumerate(places):
        picture[:, index, row, column] = 1
    points = [[column + 0.5, row + 0.5, 2] for column, row in places]
    by = Shift(torch.tensor(flips), 8, torch.tensor([[[3], [10]], [[5], [9]]]), 48, 64)
    moved = TASK.learner.warp(tensors(truth_of(thing(points), thing(points))), by)
    pixels = by.move(picture)
    for item, flip in enumerate(flips):
        # What was the left of a picture is the right of its mirror image.
        order = [0, 2, 1, 3] if flip else [0, 1, 2, 3]
        for index, source in enumerate(order):
            rows, columns = torch.nonzero(pixels[item, source], as_tuple=True)
            assert moved["visible"][item, index] == 2
            expected = [float(columns) + 0.5, float(rows) + 0.5]
            assert moved["points"][item, index].tolist() == expected


def test_point_is_not_labelled_when_it_leaves_the_picture() -> None:
    by = Shift(None, 8, torch.tensor([[[8]], [[14]]]), 48, 64)  # 6 columns are cut off at the left
    moved = TASK.learner.warp(tensors(truth_of()), by)
    assert moved["visible"].tolist() == [[2, 0, 1, 2]]
    assert moved["points"][0, 1].tolist() == [0, 0]


def test_dots_lie_on_their_points_when_the_picture_is_smaller_than_the_input() -> None:
    pose = np.array([[[10, 8], [4, 16], [22, 17], [54, 40]]], np.float32)
    found = answer(pose, 0.9)
    found["scores"][0, 1] = 0.2
    drawn = TASK.pictures.draw(np.zeros((24, 32, 1), np.uint8), found, SPEC)
    rows, columns = np.nonzero(drawn.max(axis=2) > 60)
    for x, y in pose[0, [0, 2, 3]]:
        assert (np.hypot(columns + 0.5 - x / 2, rows + 0.5 - y / 2) < 1.5).any()
    assert (np.hypot(columns + 0.5 - 2, rows + 0.5 - 8) > 2).all()  # nobody is sure of that one
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 3


def test_caption_counts_the_points_and_names_the_surest() -> None:
    found = answer([[[10, 8], [4, 16], [22, 17], [54, 40]]], 0.9)
    found["scores"][0, 1] = 0.97
    assert TASK.pictures.caption(found) == "4 of 4 points, surest left 0.97"
    assert TASK.pictures.caption(truth_of(thing([*POINTS[:3], [0, 0, 0]]))) == "3 of 4 points"
    assert TASK.pictures.caption({**found, "scores": -np.ones((1, 4))}) == "no answer"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": ["a", "b", "a"], "swaps": []}, "points: 'a' stands there twice"),
        ({"swaps": [["left", "rigth"]]}, r"'rigth' is none of .*\(did you mean right\?\)"),
        ({"swaps": [["left", "right"], ["nose", "left"]]}, "swaps: 'left' stands there twice"),
        ({"swaps": [["nose", "nose"]]}, "swaps: 'nose' stands there twice"),
        ({"sigmas": [0.1, 0.1]}, "sigmas: 2 for 4 points"),
        ({"sigmas": 0.0}, "sigmas: expected above 0"),
        ({"stride": 3}, "a heatmap has 1, 2, 4 ... 64, got 3"),
        ({"stride": 0.5}, "a heatmap has 1, 2, 4 ... 64, got 0.5"),
        ({"tolerance": 0}, "task.tolerance"),
    ],
)
def test_params_are_refused_when_they_make_no_sense(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        Task.open({**ENTRY, **change}, CLASSES, "test")
    assert "\n" not in str(caught.value)
