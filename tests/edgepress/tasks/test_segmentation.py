"""Segmentation: masks in, IoU and Dice out, held against counts made another way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score, jaccard_score

from edgepress.data.labels import Seen
from edgepress.data.picture import UnusableError
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task

CLASSES = ("background", "cell", "wall")
SPEC = InputSpec(height=6, width=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def task(ignore: int | None = None, argmax: bool = False) -> Task:
    entry = {"method": "segmentation", "ignore_index": ignore, "argmax": argmax}
    return Task.open(entry, CLASSES, "test")


def masks(seed: int, count: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (count, 6, 8)).astype(np.uint8)


def png(values: np.ndarray, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(out, "PNG")
    return out.getvalue()


def by_name(scores: Any) -> dict[tuple[str, str | None], Any]:
    return {(score.name, score.of): score for score in scores}


def test_scores_are_those_of_another_library_when_pixels_are_pooled() -> None:
    truth, mine = masks(0), masks(1)
    found = by_name(task().answers.score({"mask": mine}, None, {"mask": truth}, 0.95))
    first = task().answers.first_score({"mask": mine}, {"mask": truth})
    assert first == found["mean_iou", None].value.value
    flat = (truth.ravel(), mine.ravel())
    for name, reference in (("iou", jaccard_score), ("dice", f1_score)):
        each = reference(*flat, average=None)
        assert found[f"mean_{name}", None].value.value == pytest.approx(each.mean())
        for index, of in enumerate(CLASSES):
            assert found[name, of].value.value == pytest.approx(each[index])
            assert found[name, of].value.low <= each[index] <= found[name, of].value.high


def test_ignored_pixels_count_for_nothing() -> None:
    truth, mine = masks(0), masks(1)
    ignored = truth.copy()
    ignored[:, :3] = 255
    found = task(255).answers.score({"mask": mine}, None, {"mask": ignored}, 0.95)
    expected = jaccard_score(truth[:, 3:].ravel(), mine[:, 3:].ravel(), average="macro")
    assert found[0].value.value == pytest.approx(expected)


def test_drop_is_nothing_when_the_answers_are_the_floats() -> None:
    truth, mine = masks(0), masks(1)
    found = task().answers.score({"mask": mine}, {"mask": mine}, {"mask": truth}, 0.95)
    assert found[0].drop is not None
    assert (found[0].drop.low, found[0].drop.high) == (0, 0)


def test_constant_is_what_one_class_everywhere_scores() -> None:
    truth = np.zeros((4, 6, 8), np.uint8)
    truth[:, 0] = 1
    found = task().answers.score({"mask": truth}, None, {"mask": truth}, 0.95)
    assert found[0].constant == pytest.approx((5 / 6 + 0) / 2)
    assert found[0].value.value == 1


@pytest.mark.parametrize("argmax", [False, True])
def test_answers_are_the_same_whether_the_graph_or_the_host_takes_the_argmax(argmax: bool) -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 6, 8)).astype(np.float32)
    chosen = task(argmax=argmax)
    raw = {"mask": logits.argmax(1).astype(np.int32)} if argmax else {"logits": logits}
    assert (chosen.answers.decode(raw, SPEC)["mask"] == logits.argmax(1)).all()
    (output,) = chosen.answers.outputs(SPEC)
    assert output.shape == ((1, 6, 8) if argmax else (1, 3, 6, 8))


def test_pixels_that_are_not_finite_agree_with_nothing() -> None:
    logits = np.zeros((1, 3, 6, 8), np.float32)
    logits[0, 1, 2] = np.nan
    found = task().answers.decode({"logits": logits}, SPEC)
    assert task().answers.agreement(found, found).tolist() == [pytest.approx(5 / 6)]


@pytest.mark.parametrize("mode", [None, "P", "1"])
def test_masks_are_read_by_value_whatever_their_kind(mode: str | None) -> None:
    values = np.zeros((6, 8), np.uint8)
    values[2:4] = 1 if mode is None else 255
    data = png(values, mode)
    label = {"path": "m.png", "above_zero": mode is not None}
    rules = task().labels
    admitted = rules.admit(label, Seen(8, 6), lambda path: data)
    truth = rules.truth(admitted.label, SPEC, lambda path: data)["mask"]
    assert truth.shape == (1, 6, 8)
    assert sorted(np.unique(truth)) == [0, 1]
    assert (truth[0, 2:4] == 1).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((8, 6), np.uint8), "the mask is 6 x 8, the picture 8 x 6"),
        (np.full((6, 8), 7, np.uint8), "the mask holds 7, the 3 classes are numbered from 0"),
        (np.zeros((6, 8, 3), np.uint8), "the mask is RGB; expected grey values or a palette"),
    ],
)
def test_mask_that_is_none_is_refused_with_its_reason(values: np.ndarray, words: str) -> None:
    with pytest.raises(UnusableError, match=words):
        task().labels.admit(
            {"path": "m.png", "above_zero": False}, Seen(8, 6), lambda path: png(values)
        )


def test_mask_is_read_when_its_metadata_are_damaged() -> None:
    values = masks(0)[0]
    data = png(values)
    title = b"tEXtTitle\0a mask"
    damaged = data[:33] + (len(title) - 4).to_bytes(4) + title + b"\0\0\0\0" + data[33:]
    rules = task().labels
    label = {"path": "m.png", "above_zero": False}
    admitted = rules.admit(label, Seen(*values.shape[::-1]), lambda path: damaged)
    assert admitted.classes == tuple(np.unique(values).tolist())
    with pytest.raises(UnusableError, match="label: the mask is corrupt: "):
        rules.admit(label, Seen(*values.shape[::-1]), lambda path: data[:-30])


def test_mask_that_changed_since_ingest_stops_the_run() -> None:
    rules = task().labels
    before, after = png(masks(0)[0]), png(masks(1)[0])
    admitted = rules.admit({"path": "m.png", "above_zero": False}, Seen(8, 6), lambda path: before)
    with pytest.raises(UserError, match="the mask changed since ingest"):
        rules.truth(admitted.label, SPEC, lambda path: after)


def test_loss_is_nearly_nothing_when_the_answer_is_right_and_ignores_what_it_is_told() -> None:
    truth = torch.from_numpy(masks(0, 2))
    logits = 40 * torch.nn.functional.one_hot(truth.long(), 3).permute(0, 3, 1, 2).float()
    learner = task(255).learner
    assert float(learner.loss({"logits": logits}, {"mask": truth})["loss"]) < 0.01
    wrong = logits.clone()
    wrong[:, :, 0] = wrong[:, :, 0].roll(1, 1)
    hidden = truth.clone()
    hidden[:, 0] = 255
    assert float(learner.loss({"logits": wrong}, {"mask": truth})["loss"]) > 1
    assert float(learner.loss({"logits": wrong}, {"mask": hidden})["loss"]) < 0.01


def test_loss_is_finite_when_every_pixel_is_ignored() -> None:
    truth = torch.full((1, 6, 8), 255, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 6, 8, requires_grad=True)
    loss = task(255).learner.loss({"logits": logits}, {"mask": truth})["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_too_many_classes_are_refused() -> None:
    entry = {"method": "segmentation", "ignore_index": None, "argmax": False}
    with pytest.raises(UserError, match="251 classes, segmentation takes 250 at most"):
        _ = Task.open(entry, tuple(map(str, range(251))), "test").labels


def test_answer_is_drawn_over_its_picture_at_the_pictures_size(tmp_path: Path) -> None:
    image = np.full((6, 8, 3), 100, np.uint8)
    drawn = task().pictures.draw(image, {"mask": masks(0, 1)[0]}, SPEC)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (drawn != image).any()
