from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.tasks.task import Task
from edgepress.training.affine import Affine
from edgepress.training.augment import augmented, draw
from edgepress.training.changes import Changes
from edgepress.training.mixing import Sample, refused
from edgepress.training.operations import OPERATIONS
from edgepress.training.policies import Plan, planned

HEIGHT, WIDTH = 48, 64
POLICIES: list[dict[str, Any]] = [
    {"trivial_augment": 1.0},
    {"rand_augment": {"operations": 3, "magnitude": 12}},
    {"augmix": {}},
]
BOXES = Task.open(
    {
        "method": "detection",
        "strides": [8],
        "most_objects": 1,
        "most_answers": 10,
        "least_score": 0.05,
        "overlap": 0.6,
        "sure": 0.4,
    },
    ("a", "b"),
    "test",
)
ONE = Task.open({"method": "classification"}, ("a", "b"), "test")


def changes(named: dict[str, Any]) -> Changes:
    return Changes.model_validate(named)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int) -> torch.Tensor:
    shape = (count, 3, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, generator=seeded(1), dtype=torch.uint8)


def plan(named: dict[str, Any], seed: int, count: int) -> Plan:
    found = planned(changes(named), count, seeded(seed))
    assert found is not None
    return found


def after(named: dict[str, Any], seed: int, batch: torch.Tensor) -> torch.Tensor:
    sample = Sample(batch, {"label": torch.zeros(len(batch), dtype=torch.int64)})
    return augmented(sample, changes(named), ONE.learner, seeded(seed)).images


@pytest.mark.parametrize("named", POLICIES, ids=str)
def test_draws_repeat_when_the_generator_is_seeded_alike(named: dict[str, Any]) -> None:
    first = after(named, 3, noise(12))
    assert first.dtype == torch.uint8
    assert torch.equal(first, after(named, 3, noise(12)))
    assert not torch.equal(first, after(named, 4, noise(12)))


def test_every_operation_of_every_strength_is_as_likely_when_it_is_trivial() -> None:
    found = plan({"trivial_augment": 1.0}, 0, 20_000)
    counts = torch.bincount(found.kinds[0], minlength=len(OPERATIONS))
    assert counts.min() > 1300  # of 1429
    assert counts.max() < 1560
    steps = (found.amounts[0].abs() * 30).round().long()
    assert torch.bincount(steps, minlength=31).min() > 540  # of 645
    assert 0.48 < (found.amounts[0] > 0).float().mean() < 0.52


def test_so_many_pictures_are_changed_as_the_share_says() -> None:
    found = plan({"trivial_augment": 0.5}, 0, 20_000)
    assert (found.kinds[0] > 0).float().mean() == pytest.approx(0.5 * 13 / 14, abs=0.02)


def test_strength_is_one_when_it_is_rand_augment() -> None:
    found = plan({"rand_augment": {"operations": 3, "magnitude": 12}}, 0, 100)
    assert found.kinds.shape == (3, 100)
    assert torch.allclose(found.amounts.abs(), torch.tensor(0.4))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_boxes_follow_their_pixels_when_a_policy_moves_them(seed: int, crop: bool) -> None:
    named: dict[str, Any] = {"rand_augment": {"operations": 2, "magnitude": 9}, "flip": 0.5}
    if crop:
        named["crop"] = {"area": [0.6, 1.0]}
    by = draw(changes(named), torch.Size([6, 1, HEIGHT, WIDTH]), seeded(seed))
    assert by is not None
    picture = torch.zeros(6, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    picture[..., 18:30, 24:40] = 255
    truth = {
        "boxes": torch.tensor([[[24.0, 18.0, 40.0, 30.0]]]).repeat(6, 1, 1),
        "category": torch.ones(6, 1, dtype=torch.int32),
    }
    moved = BOXES.learner.warp(truth, by)
    bright = by.pictures(picture)[:, 0] > 184  # above what blends with the grey outside
    for index in range(6):
        if moved["category"][index, 0] < 0:
            continue
        rows, columns = torch.nonzero(bright[index], as_tuple=True)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert [float(each) for each in found] == (
            pytest.approx(moved["boxes"][index, 0].tolist(), abs=2.5)
        )


def test_pictures_that_a_policy_does_not_move_keep_their_pixels() -> None:
    named = {"trivial_augment": 1.0}
    batch, kinds = noise(60), plan(named, 5, 60).kinds[0]
    by = draw(changes(named), batch.shape, seeded(5))
    assert by is not None
    moved = by.pictures(batch)
    names = [OPERATIONS[int(kind)] for kind in kinds]
    turned = [name.startswith(("shear", "translate", "rotate")) for name in names]
    same = (moved == batch).flatten(1).all(1)
    assert 10 < sum(turned) < 40
    assert same[~torch.tensor(turned)].all()
    assert same[torch.tensor(turned)].float().mean() < 0.2  # of an amount of 0


def test_policy_is_part_of_one_matrix_when_pictures_are_turned_too() -> None:
    both = {"trivial_augment": 1.0, "shift": 0.1}
    shape = torch.Size([20, 3, HEIGHT, WIDTH])
    whole, policy, shift = (
        draw(changes(each), shape, seeded(2))
        for each in (both, {"trivial_augment": 1.0}, {"shift": 0.1})
    )
    assert isinstance(whole, Affine)
    places = torch.rand(20, 4, 2).double() * 40
    assert policy is not None
    assert shift is not None
    assert torch.allclose(whole.points(places), shift.points(policy.points(places)))


def test_blend_stays_near_its_picture_when_severity_is_least() -> None:
    batch = noise(40)[..., :16, :16] // 8 * 4 + 64
    little = after({"augmix": {"severity": 1}}, 0, batch).float() - batch.float()
    much = after({"augmix": {"severity": 10}}, 0, batch).float() - batch.float()
    assert 0 < little.abs().mean() < much.abs().mean()


def test_versions_that_lie_apart_are_refused_when_labels_have_places() -> None:
    named = changes({"augmix": {}})
    assert refused(named, BOXES.learner) == ["augmix"]
    assert refused(named, ONE.learner) == []
    assert refused(named, None) == []
    assert refused(changes({"trivial_augment": 1.0}), BOXES.learner) == []


def test_one_policy_is_kept_when_several_are_named() -> None:
    with pytest.raises(ValueError, match="names trivial_augment and augmix; keep one of them"):
        changes({"trivial_augment": 1.0, "augmix": {}})
