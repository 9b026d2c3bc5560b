"""Detection: labels checked at the door, boxes that come back, losses that fall to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from edgepress.data.labels import Seen
from edgepress.data.objects import TOLERANCE
from edgepress.data.picture import UnusableError
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.learning.assignment import overlaps
from edgepress.tasks.task import Task, joined
from edgepress.training.augment import Shift

CLASSES = ("cell", "wall", "seed")
SPEC = InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
ENTRY = {
    "method": "detection",
    "strides": [4, 8, 16],
    "most_objects": 6,
    "most_answers": 20,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.3,
}
TASK = Task.open(ENTRY, CLASSES, "test")


def thing(box: Any, category: int = 0, **changed: Any) -> dict[str, Any]:
    plain = {"rings": None, "points": None, "area": None, "crowd": False, "ignore": False}
    return {"category": category, "box": box, **plain, **changed}


def label(*objects: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {"width": None, "height": None, "relative": False, "objects": list(objects), **changed}


def no_file(path: str) -> bytes:
    raise AssertionError(path)


def stored(*objects: dict[str, Any], seen: Seen | None = None, **changed: Any) -> dict[str, Any]:
    found = TASK.labels.admit(label(*objects, **changed), seen or Seen(64, 48), no_file)
    kept: dict[str, Any] = found.label
    return kept


def truth_of(*objects: dict[str, Any], spec: InputSpec = SPEC) -> Arrays:
    return TASK.labels.truth(stored(*objects), spec, no_file)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (
            [thing([0, 0, 70, 20])],
            "object 1: box 0, 0 to 70, 20 lies outside the picture",
        ),
        ([thing([0, 0, 9, 9]), thing([5, 5, 5, 9])], "object 2: box 5, 5 to 5, 9 has no area"),
        ([thing([0, 0, 9, 9], 3)], "object 1: class 3 is none of the 3, which are numbered"),
        ([thing([0, 0, 9, 9], -1)], "class -1 is none"),
        ([thing([0, 0, 9, float("nan")])], "expected four finite numbers"),
        ([thing(None)], "has neither a box nor an outline nor a point"),
        ([thing([0, 0, 9, 9])] * 7, "holds 7 objects, task.most_objects is 6"),
        ([thing(None, rings=[[1, 2, 3]])], "expected three or more finite x, y"),
    ],
)
def test_label_is_refused_with_its_reason_when_it_cannot_be(
    objects: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(UnusableError, match=words):
        stored(*objects)


def test_picture_without_objects_is_a_negative_when_admitted() -> None:
    found = TASK.labels.admit(label(), Seen(64, 48), no_file)
    assert found.classes == ()
    assert (TASK.labels.truth(found.label, SPEC, no_file)["category"] == -1).all()


def test_box_is_cut_at_the_border_when_it_reaches_out_a_little() -> None:
    assert stored(thing([-TOLERANCE, 0, 64 + TOLERANCE, 48]))["boxes"] == [[0, 0, 64, 48]]


def test_corners_are_put_in_order_when_they_come_swapped() -> None:
    assert stored(thing([9, 20, 3, 4]))["boxes"] == [[3, 4, 9, 20]]


def test_shares_become_pixels_when_a_label_is_relative() -> None:
    assert stored(thing([0.25, 0.5, 0.5, 1]), relative=True)["boxes"] == [[16, 24, 32, 48]]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_with_the_picture_when_drawn_before_exif(orientation: int) -> None:
    from PIL import Image

    from edgepress.data.picture import _TURNS

    drawn = np.zeros((64, 48), np.uint8)  # the file: 48 wide, 64 high
    drawn[10:30, 5:20] = 255
    turned = np.asarray(Image.fromarray(drawn).transpose(_TURNS[orientation]))
    rows, columns = np.nonzero(turned)
    seen = Seen(turned.shape[1], turned.shape[0], orientation)
    found = stored(thing([5, 10, 20, 30]), seen=seen, width=48, height=64)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found["boxes"] == [expected]


def test_label_for_another_picture_is_refused_by_its_size() -> None:
    with pytest.raises(UnusableError, match="is for a picture of 48 x 64, this one is 64 x 48"):
        stored(thing([0, 0, 9, 9]), width=48, height=64)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_truth_follows_the_pixels_when_the_picture_is_fitted(fit: str) -> None:
    from io import BytesIO

    from PIL import Image

    from edgepress.data.preprocess import decode

    picture = np.zeros((100, 40), np.uint8)
    picture[20:60, 8:32] = 255
    file = BytesIO()
    Image.fromarray(picture).save(file, "png")
    spec = SPEC.model_copy(update={"fit": fit})
    pixels = decode(file.getvalue(), spec)[..., 0]
    kept = stored(thing([8, 20, 32, 60]), seen=Seen(40, 100))
    box = TASK.labels.truth(kept, spec, no_file)["boxes"][0, 0]
    rows, columns = np.nonzero(pixels > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(box - seen).max() <= 1


def raw_for(truth: Arrays, sure: float = 4.0) -> dict[str, np.ndarray]:
    """Outputs of a network that knows the truth: each object at the place nearest to its middle."""
    raw = {
        spec.name: np.full(
            (len(truth["category"]), *spec.shape[1:]),
            -6.0 if spec.name.startswith("scores") else 0.0,
            np.float32,
        )
        for spec in TASK.answers.outputs(SPEC)
    }
    for item, place in np.argwhere(truth["category"] >= 0):
        box, category = truth["boxes"][item, place], truth["category"][item, place]
        x, y = (box[:2] + box[2:]) / 2
        row, column = int(y // 4), int(x // 4)
        middle = (np.array([column, row]) + 0.5) * 4
        far = np.concatenate([middle - box[:2], box[2:] - middle]) / 4
        raw["boxes_4"][item, :, row, column] = np.log(np.maximum(far, 1e-3))
        raw["scores_4"][item, category, row, column] = sure
    return raw


def test_boxes_come_back_when_the_outputs_say_them() -> None:
    truth = truth_of(thing([4, 6, 30, 40], 1), thing([33, 2, 60, 20], 2))
    found = TASK.answers.decode(raw_for(truth), SPEC)
    assert found["category"][0, :3].tolist() == [1, 2, -1]
    assert np.allclose(found["boxes"][0, :2], truth["boxes"][0, :2], atol=1e-3)
    assert found["scores"][0, 0] == pytest.approx(1 / (1 + np.exp(-4)))
    scores = TASK.answers.score(found, found, truth, 0.95)
    assert [score.name for score in scores[:2]] == ["mean_ap", "mean_ap_50"]
    assert scores[0].value.value == 1
    assert scores[0].drop is not None
    assert scores[0].drop.high == 0


def scored(answers: Arrays, truth: Arrays) -> dict[tuple[str, str | None], Any]:
    found = TASK.answers.score(answers, None, truth, 0.95)
    assert TASK.answers.first_score(answers, truth) == found[0].value.value
    return {(score.name, score.of): score for score in found}


def test_scores_by_size_are_those_that_the_truth_has() -> None:
    truth = truth_of(thing([4, 6, 30, 40], 1), thing([0, 0, 64, 44], 2))
    found = scored(TASK.answers.decode(raw_for(truth), SPEC), truth)
    names = [name for name, of in found if of is None]
    sizes = ["mean_ap_small", "mean_ap_medium"]
    assert names == ["mean_ap", "mean_ap_50", *sizes, "calibration_error"]
    assert set(names) < set(TASK.answers.units)
    assert all(found[name, None].value.value == 1 for name in names[:-1])
    missed = truth_of(thing([4, 6, 30, 40], 1))
    found = scored(TASK.answers.decode(raw_for(missed), SPEC), truth)
    assert found["mean_ap_small", None].value.value == 1
    assert found["mean_ap_medium", None].value.value == 0


def test_calibration_error_is_the_mean_of_its_ranges_when_some_boxes_miss() -> None:
    """Ten boxes of confidence 0.6, eight of which hit, and ten of 0.9, all of which do."""
    there = joined([truth_of(thing([4, 6, 30, 40], 1))] * 20)
    moved = {name: values.copy() for name, values in there.items()}
    moved["category"][:2] = np.where(moved["category"][:2] == 1, 0, moved["category"][:2])
    raws = [
        raw_for({name: values[rows] for name, values in moved.items()}, sure=np.log(odds))
        for rows, odds in ((slice(10), 1.5), (slice(10, 20), 9.0))
    ]
    raw = {name: np.concatenate([each[name] for each in raws]) for name in raws[0]}
    ours = TASK.answers.decode(raw, SPEC)
    found = TASK.answers.score(ours, ours, there, 0.95)
    error = next(score for score in found if score.name == "calibration_error")
    assert error.better == "lower"
    assert error.value.value == pytest.approx((0.2 + 0.1) / 2)
    assert error.value.low < error.value.value < error.value.high
    assert error.drop is not None
    assert error.drop.high == 0


def test_calibration_error_is_whole_when_no_box_is_sure_but_there_are_objects() -> None:
    truth = truth_of(thing([4, 6, 30, 40], 1))
    none = TASK.answers.decode(raw_for(truth, sure=-2.0), SPEC)
    assert scored(none, truth)["calibration_error", None].value.value == 1
    assert scored(none, truth_of())["calibration_error", None].value.value == 0


def test_draws_without_a_class_say_nothing_of_its_precision() -> None:
    truth = joined([truth_of(thing([4, 6, 30, 40], 1)), truth_of(thing([4, 6, 30, 40], 2))])
    answers = TASK.answers.decode(raw_for(truth), SPEC)
    found = scored(answers, truth)
    assert (found["ap", "wall"].value.low, found["ap", "wall"].items) == (1, 1)
    assert ("ap", "cell") not in found


def test_scores_are_nothing_when_no_picture_has_an_object() -> None:
    truth = truth_of()
    found = scored(TASK.answers.decode(raw_for(truth_of(thing([4, 6, 30, 40]))), SPEC), truth)
    assert [name for name, _ in found] == ["mean_ap", "mean_ap_50", "calibration_error"]
    assert found["mean_ap", None].value.value == 0
    sure = 1 / (1 + np.exp(-4))
    assert found["calibration_error", None].value.value == pytest.approx(sure)


def test_answer_is_none_when_one_output_is_not_finite() -> None:
    raw = raw_for(truth_of(thing([4, 6, 30, 40], 1)))
    raw["boxes_16"][0, 0, 0, 0] = np.nan
    found = TASK.answers.decode(raw, SPEC)
    assert (found["category"][0] < 0).all()
    assert TASK.answers.agreement(found, found).tolist() == [0]


def test_agreement_is_whole_only_when_nothing_differs() -> None:
    truth = truth_of(thing([4, 6, 30, 40], 1), thing([33, 2, 60, 20], 2))
    floats = TASK.answers.decode(raw_for(truth), SPEC)
    assert TASK.answers.agreement(floats, floats).tolist() == [1]
    fallen = TASK.answers.decode(raw_for(truth, sure=0.0), SPEC)
    assert TASK.answers.agreement(fallen, floats)[0] == pytest.approx(0.5 * (1 + np.exp(-4)))
    swapped = {**floats, "category": np.where(floats["category"] == 1, 0, floats["category"])}
    assert TASK.answers.agreement(swapped, floats)[0] == pytest.approx(0.5)


def test_kept_boxes_are_torchvisions_when_suppressed() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (300, 2)).astype(np.float32)
    every = np.concatenate([low, low + rng.uniform(4, 20, (300, 2)).astype(np.float32)], axis=1)
    scores = rng.permutation(300).astype(np.float32)
    for overlap in (0.3, 0.6, 0.9):
        expected = torchvision.ops.nms(torch.from_numpy(every), torch.from_numpy(scores), overlap)
        assert boxes.kept(every, scores, overlap).tolist() == expected.tolist()


@pytest.mark.parametrize("most", [None, 1, 100])
def test_kept_boxes_are_torchvisions_when_there_are_many_of_several_classes(
    most: int | None,
) -> None:
    rng = np.random.default_rng(2)
    count = 5000  # more than are looked at together
    low = rng.uniform(0, 300, (count, 2))
    every = np.concatenate([low, low + rng.uniform(4, 60, (count, 2))], axis=1).astype(np.float32)
    scores = rng.permutation(count).astype(np.float32)
    category = rng.integers(0, 3, count)
    expected = np.concatenate(
        [
            rows[torchvision.ops.nms(*map(torch.from_numpy, (every[rows], scores[rows])), 0.5)]
            for rows in (np.flatnonzero(category == index) for index in range(3))
        ]
    )
    expected = expected[np.argsort(-scores[expected])][:most]
    assert boxes.kept(every, scores, 0.5, category, most).tolist() == expected.tolist()


def test_kept_boxes_are_none_when_there_is_none() -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert boxes.kept(nothing, nothing[:, 0], 0.5, nothing[:, 0], 10).tolist() == []


def test_surest_answers_are_kept_when_boxes_without_area_are_surer() -> None:
    truth = truth_of(thing([4, 6, 30, 40], 1))
    raw = raw_for(truth)
    raw["scores_8"][0, 0] = 6
    raw["boxes_8"][0] = -200.0
    found = TASK.answers.decode(raw, SPEC)
    assert found["category"][0, :2].tolist() == [1, -1]


def test_overlaps_are_torchvisions_in_numpy_and_torch() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 40, (50, 2))
    every = np.concatenate([low, low + rng.uniform(0, 20, (50, 2))], axis=1)
    expected = torchvision.ops.box_iou(torch.from_numpy(every), torch.from_numpy(every)).numpy()
    assert np.allclose(boxes.overlaps(every, every), expected)
    batch = torch.from_numpy(every)[None]
    assert np.allclose(overlaps(batch, batch)[0].numpy(), expected)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(values)) for name, values in arrays.items()}


def test_loss_falls_to_the_truth_when_the_outputs_are_learnt() -> None:
    objects = (thing([4, 6, 30, 40], 1), thing([33, 2, 60, 20], 2), thing([40, 30, 43, 33], 0))
    truth = tensors(truth_of(*objects))
    outputs = {
        spec.name: torch.full(
            spec.shape, -4.0 if spec.name.startswith("scores") else 0.0
        ).requires_grad_()
        for spec in TASK.learner.outputs(SPEC)
    }
    optimizer = torch.optim.Adam(outputs.values(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        TASK.learner.loss(outputs, truth)["loss"].backward()
        optimizer.step()
    raw = {name: values.detach().numpy() for name, values in outputs.items()}
    found = TASK.answers.decode(raw, SPEC)
    score = TASK.answers.score(found, None, truth_of(*objects), 0.95)[0]
    assert score.value.value > 0.95


def test_nothing_is_learnt_from_places_in_a_crowd() -> None:
    outputs = {
        spec.name: torch.zeros(spec.shape, requires_grad=True)
        for spec in TASK.learner.outputs(SPEC)
    }
    truth = tensors(truth_of(thing([0, 0, 64, 48], 1, crowd=True)))
    TASK.learner.loss(outputs, truth)["loss"].backward()
    assert all(values.grad is None or (values.grad == 0).all() for values in outputs.values())


def test_divergence_is_nothing_when_student_and_teacher_are_one() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = {
        spec.name: torch.randn(spec.shape, generator=generator)
        for spec in TASK.learner.outputs(SPEC)
    }
    other = {name: values + 0.5 for name, values in outputs.items()}
    assert float(TASK.learner.divergence(outputs, outputs, 2.0)) == pytest.approx(0, abs=1e-5)
    assert float(TASK.learner.divergence(other, outputs, 2.0)) > 0.1


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_follow_their_pixels_when_the_picture_is_moved(flip: bool) -> None:
    picture = torch.zeros(1, 1, 48, 64)
    picture[..., 20:30, 24:40] = 1
    by = Shift(torch.tensor([flip]), 8, torch.tensor([[[3]], [[13]]]), 48, 64)
    truth = tensors(truth_of(thing([24, 20, 40, 30], 2), thing([0, 0, 2, 2], 1)))
    moved = TASK.learner.warp(truth, by)
    rows, columns = torch.nonzero(by.move(picture)[0, 0], as_tuple=True)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert moved["boxes"][0, 0].tolist() == [float(value) for value in expected]
    gone = bool(moved["category"][0, 1] == -1)
    assert gone is not flip  # mirrored, the corner comes in from the right and stays


def test_strides_are_refused_when_they_do_not_rise() -> None:
    with pytest.raises(UserError, match=r"strides must be above 0 and rise, got \[8, 8\]"):
        Task.open({**ENTRY, "strides": [8, 8]}, CLASSES, "test")
