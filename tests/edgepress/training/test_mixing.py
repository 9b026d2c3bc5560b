from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.tasks.task import Task
from edgepress.training.augment import augmented
from edgepress.training.changes import Changes
from edgepress.training.mixing import Sample, blended, copy_paste, cutmix, mixup, mosaic, refused

CLASSES = ("a", "b", "c", "d", "e", "f")
DETECTION = {
    "method": "detection",
    "strides": [8],
    "most_objects": 2,
    "most_answers": 10,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.4,
}
SEVERAL = {
    "method": "multilabel",
    "labels": "classes",
    "threshold": 0.5,
    "focus_positive": 0,
    "focus_negative": 0,
    "margin": 0,
}
ONE = {"method": "classification"}
MASKS = {"method": "segmentation", "ignore_index": 255, "argmax": False}
_NAMES = ("boxes", "category")
SEEDS = st.integers(0, 10_000)


def learner(entry: dict[str, Any]) -> Any:
    return Task.open(entry, CLASSES, "test").learner


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def boxed(count: int, height: int = 48, width: int = 64) -> Sample:
    """Return black pictures, the n-th with one bright box of class n, and one of nothing."""
    images = torch.zeros(count, 1, height, width, dtype=torch.uint8)
    boxes, category = torch.zeros(count, 2, 4), torch.full((count, 2), -1, dtype=torch.int32)
    for index in range(count):
        x, y = 4 + 6 * index, 2 + 4 * index
        images[index, :, y : y + 12, x : x + 20] = 200 + index
        boxes[index, 1] = torch.tensor([x, y, x + 20, y + 12])
        category[index, 1] = index
    none = torch.zeros(count, 2, dtype=torch.bool)
    truth = {
        "boxes": boxes,
        "category": category,
        "crowd": none,
        "ignore": none.clone(),
        "area": torch.full((count, 2), 240.0),
        "scale": torch.ones(count, 2),
    }
    return Sample(images, truth)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_boxes_follow_their_pixels_when_four_pictures_become_one(seed: int, share: float) -> None:
    before = boxed(5)
    after = mosaic(before, share, learner(DETECTION), seeded(seed))
    for index in range(5):
        painted = torch.zeros(48, 64, dtype=torch.uint8)
        truth = {name: values[index] for name, values in after.truth.items()}
        there = truth["category"] >= 0
        for box, category in zip(truth["boxes"][there], truth["category"][there], strict=True):
            x0, y0, x1, y1 = map(int, box.tolist())
            painted[y0:y1, x0:x1] = 200 + category
        assert torch.equal(painted, after.images[index, 0])
        assert int(there.sum()) in (1, 4)
    assert set(after.truth) == set(before.truth)


def test_nothing_changes_when_no_picture_is_put_together() -> None:
    before = boxed(4)
    assert mosaic(before, 0.0, learner(DETECTION), seeded(0)) is before
    assert copy_paste(before, 0.0, learner(DETECTION), seeded(0)) is before
    assert mixup(before, 0.0, learner(DETECTION), seeded(0)) is before


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([(48, 64), (31, 45)]))
def test_masks_follow_their_pixels_when_four_pictures_become_one(
    seed: int, size: tuple[int, int]
) -> None:
    images = boxed(5, *size).images
    masks = (images[:, 0] >= 200).to(torch.uint8)
    masks[2, :4] = 255
    after = mosaic(Sample(images, {"mask": masks}), 0.7, learner(MASKS), seeded(seed))
    mask, bright = after.truth["mask"], after.images[:, 0]
    assert mask.dtype == torch.uint8
    assert set(mask.unique().tolist()) <= {0, 1, 255}
    judged = mask != 255
    assert judged.float().mean() > 0.85
    sure = judged & ((bright == 0) | (bright >= 200))
    assert sure.float().mean() > 0.8
    assert torch.equal((mask == 1)[sure], (bright >= 200)[sure])


def test_each_quarter_is_another_picture_when_all_are_put_together() -> None:
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 1, 16, 16) * 30
    masks = torch.zeros(8, 16, 16, dtype=torch.uint8)
    after = mosaic(Sample(images, {"mask": masks}), 1.0, learner(MASKS), seeded(1)).images
    quarters = after[:, 0].unflatten(1, (2, 8)).unflatten(3, (2, 8)).permute(1, 3, 0, 2, 4)
    for index, quarter in enumerate(quarters.flatten(0, 1)):
        level = quarter.flatten(1).float().mean(1) / 30
        assert sorted(level.tolist()) == list(range(8))  # each picture once in each quarter
        assert (level.tolist() == list(range(8))) is (index == 0)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.05, 10))
def test_shares_say_what_is_in_the_pixels_when_pictures_are_blended(
    seed: int, alpha: float
) -> None:
    label = torch.tensor([0, 5, 3, 1, 4, 2])
    images = (label * 50).to(torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    one = mixup(Sample(images, {"label": label}), alpha, learner(ONE), seeded(seed))
    shares = one.truth["shares"]
    assert torch.allclose(shares.sum(1), torch.ones(6))
    assert torch.equal(one.truth["label"], label)
    assert (shares.gather(1, label[:, None]) >= 0.5 - 1e-6).all()
    level = shares @ (torch.arange(6.0) * 50)
    assert (one.images.float().mean((1, 2, 3)) - level).abs().max() <= 0.51

    present = torch.eye(6, dtype=torch.uint8)[label]
    several = mixup(Sample(images, {"present": present}), alpha, learner(SEVERAL), seeded(seed))
    assert torch.allclose(several.truth["present"], shares)
    assert torch.equal(several.images, one.images)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.2, 10))
def test_shares_say_how_much_of_each_is_seen_when_a_part_is_cut_in(seed: int, alpha: float) -> None:
    label = torch.tensor([0, 5, 3, 1, 4, 2])
    images = (label * 50).to(torch.uint8)[:, None, None, None].expand(-1, 3, 30, 40)
    one = cutmix(Sample(images, {"label": label}), alpha, learner(ONE), seeded(seed))
    seen = torch.stack([(one.images[:, 0] == each * 50).float().mean((1, 2)) for each in range(6)])
    assert torch.allclose(one.truth["shares"], seen.T, atol=1e-6)
    assert torch.equal(one.truth["label"], label)
    for index in range(6):
        gone = one.images[index, 0] != images[index, 0]
        rows, columns = torch.nonzero(gone, as_tuple=True)
        if len(rows):
            part = gone[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert part.all()
        assert len(one.images[index, 0][gone].unique()) <= 1

    present = torch.eye(6, dtype=torch.uint8)[label]
    several = cutmix(Sample(images, {"present": present}), alpha, learner(SEVERAL), seeded(seed))
    assert torch.allclose(several.truth["present"], one.truth["shares"])


def test_a_step_blends_or_cuts_in_when_both_are_named() -> None:
    label = torch.tensor([0, 1, 2, 3])
    images = (label * 80).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16)
    sample, both = Sample(images, {"label": label}), Changes(mixup=0.8, cutmix=1.0)
    cut = 0
    for seed in range(200):
        found = blended(sample, both, learner(ONE), seeded(seed)).images
        blend = mixup(sample, 0.8, learner(ONE), seeded(seed)).images
        part = cutmix(sample, 1.0, learner(ONE), seeded(seed)).images
        assert torch.equal(found, part) or torch.equal(found, blend)
        cut += int(torch.equal(found, part))
    assert 70 < cut < 130


def test_loss_of_a_blend_is_the_blend_of_losses_when_shares_are_known() -> None:
    logits = torch.randn(1, 6, generator=seeded(0))
    rules = learner(ONE)
    a, b = ({"label": torch.tensor([label])} for label in (1, 4))
    mixed = rules.mixing("mixup")([a, b], torch.tensor([[0.7], [0.3]]))
    apart = [float(rules.loss({"logits": logits}, each, 0.1)["loss"]) for each in (a, b)]
    whole = float(rules.loss({"logits": logits}, mixed, 0.1)["loss"])
    assert whole == pytest.approx(0.7 * apart[0] + 0.3 * apart[1], rel=1e-5)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (ONE, ["mosaic", "copy_paste"]),
        (SEVERAL, ["mosaic", "copy_paste"]),
        (MASKS, ["mixup", "cutmix"]),
        (DETECTION, ["mixup", "cutmix"]),
    ],
)
def test_what_labels_cannot_say_is_refused(entry: dict[str, Any], words: list[str]) -> None:
    both = Changes(mosaic=0.5, mixup=0.2, copy_paste=0.5, cutmix=1.0)
    assert refused(both, learner(entry)) == words
    assert refused(Changes(flip=0.5), learner(entry)) == []
    assert refused("shift", None) == []
    assert refused(both, None) == ["mosaic", "mixup", "copy_paste", "cutmix"]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_boxes_follow_their_pixels_when_objects_are_pasted(seed: int, share: float) -> None:
    before = boxed(5)
    after = copy_paste(before, share, learner(DETECTION), seeded(seed))
    assert set(after.truth) == set(before.truth)
    for index in range(5):
        image = after.images[index, 0]
        truth = {name: values[index] for name, values in after.truth.items()}
        there = truth["category"] >= 0
        painted = before.images[index, 0].clone()
        own = before.truth["boxes"][index, 1]
        kept = there & (truth["boxes"] == own).all(1) & (truth["category"] == index)
        for box, category in zip(*(truth[name][there] for name in _NAMES), strict=True):
            x0, y0, x1, y1 = map(int, box.tolist())
            if category != index:
                painted[y0:y1, x0:x1] = 200 + category
        assert torch.equal(painted, image)
        seen = float((image == 200 + index).sum()) / 240
        assert bool(kept.any()) == (seen >= 0.3 - 1e-6)


@pytest.mark.parametrize(("hidden", "labels"), [(7, [0, 1]), (8, [1])])
def test_object_loses_its_label_when_more_than_seven_tenths_are_hidden(
    hidden: int, labels: list[int]
) -> None:
    under, over = ({name: each[[row]] for name, each in boxed(2).truth.items()} for row in (0, 1))
    under["boxes"][0, 1] = torch.tensor([20.0, 10, 30, 20])
    over["boxes"][0, 1] = torch.tensor([10.0, 0, 20 + hidden, 40])
    found = learner(DETECTION).mixing("copy_paste")([under, over], torch.ones(2, 1, 48, 64))
    there = found["category"][found["category"] >= 0]
    assert there.tolist() == labels
    assert int(found["pasted"].sum()) == (10 + hidden) * 40


def test_a_crowd_is_not_pasted_and_stays_when_it_is_hidden() -> None:
    before = boxed(2)
    before.truth["crowd"][0, 1] = True
    before.truth["boxes"][0, 1] = torch.tensor([20.0, 10, 26, 14])
    for seed in range(20):
        after = copy_paste(before, 1.0, learner(DETECTION), seeded(seed))
        crowds = after.truth["crowd"] & (after.truth["category"] >= 0)
        assert crowds.sum(1).tolist() == [1, 0]


def test_masks_follow_their_pixels_when_a_class_is_pasted() -> None:
    images = boxed(5).images
    masks = (images[:, 0] >= 200).to(torch.uint8)
    masks[0] = images[0] = 0  # all of one class: nothing to paste
    added = 0
    for seed in range(6):
        after = copy_paste(Sample(images, {"mask": masks}), 0.8, learner(MASKS), seeded(seed))
        mask = after.truth["mask"]
        assert set(after.truth) == {"mask"}
        assert torch.equal(mask == 1, after.images[:, 0] >= 200)
        assert (mask >= masks).all()
        added += int((mask != masks).sum())
    assert added > 1000


def test_other_draws_stay_as_they_were_when_objects_are_pasted() -> None:
    draws = seeded(3)
    copy_paste(boxed(4), 1.0, learner(DETECTION), draws)
    assert torch.equal(torch.rand(3, generator=draws), torch.rand(3, generator=seeded(3)))


def test_learning_goes_on_from_what_was_mixed_when_everything_is_on() -> None:
    geometry = {"crop": {"area": [0.5, 1]}, "flip": 0.5, "shift": 0.1, "rotate": 5}
    values = {"contrast": 0.2, "hue": 0.1, "grey": 0.2, "blur": {"share": 0.5}}
    policy = {"rand_augment": {}, "erase": {"share": 0.5}, "mosaic": 1.0, "copy_paste": 0.5}
    named = Changes.model_validate({**geometry, "scale": [0.8, 1.25], **values, **policy})
    rules = learner(DETECTION)
    after = augmented(boxed(6), named, rules, seeded(2))
    again = augmented(boxed(6), named, rules, seeded(2))
    assert torch.equal(after.images, again.images)
    assert torch.equal(after.truth["boxes"], again.truth["boxes"])
    shape = [spec.shape for spec in rules.outputs(_spec())]
    outputs = {
        spec.name: torch.zeros(6, *size[1:], requires_grad=True)
        for spec, size in zip(rules.outputs(_spec()), shape, strict=True)
    }
    loss = rules.loss(outputs, after.truth)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in outputs.values())


def _spec() -> Any:
    from edgepress.records.inputs import InputSpec

    return InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
