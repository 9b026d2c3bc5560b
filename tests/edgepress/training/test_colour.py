from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from edgepress.training.changes import Changes
from edgepress.training.colour import adjusted, coloured


def noise(count: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (count, channels, 12, 17)
    return torch.randint(60, 150, shape, generator=generator, dtype=torch.uint8)


def draw(batch: torch.Tensor, seed: int, **named: Any) -> torch.Tensor:
    changes = Changes.model_validate(named)
    return coloured(batch, changes, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_changes_when_all_factors_are_one(channels: int) -> None:
    batch, ones = noise(4, channels), torch.ones(4)
    assert torch.equal(adjusted(batch, ones, ones, ones), batch)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 2), st.sampled_from(["brightness", "contrast", "saturation"]))
def test_each_change_equals_torchvision_when_it_is_alone(factor: float, name: str) -> None:
    batch, one = noise(2, 3), torch.ones(2)
    keys = ("brightness", "contrast", "saturation")
    ours = adjusted(batch, *(one * factor if key == name else one for key in keys))
    way = getattr(v2.functional, f"adjust_{name}")
    theirs = torch.stack([way(each, factor) for each in batch])
    # torchvision cuts fractions off, and its mean grey for contrast too.
    assert (ours.int() - theirs.int()).abs().max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_draws_repeat_when_the_generator_is_seeded_alike(channels: int) -> None:
    batch = noise(8, channels)
    keys = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
    first = draw(batch, 5, **keys)
    assert first.dtype == torch.uint8
    assert torch.equal(first, draw(batch, 5, **keys))
    assert not torch.equal(first, draw(batch, 6, **keys))
    factors = first.float().mean((1, 2, 3)) / batch.float().mean((1, 2, 3))
    assert ((factors > 0.58) & (factors < 1.42)).all()
    assert factors.std() > 0.05  # each picture has its own


def test_grey_pictures_stay_when_only_saturation_changes() -> None:
    batch = noise(3, 1)
    assert torch.equal(draw(batch, 0, saturation=1.0), batch)
    assert torch.equal(draw(batch.expand(-1, 3, -1, -1), 0, saturation=1.0)[:, :1], batch)


def test_values_are_cut_not_wrapped_when_they_leave_the_range() -> None:
    batch = torch.tensor([[[[0, 200, 255]]]], dtype=torch.uint8)
    one = torch.ones(1)
    assert adjusted(batch, 2 * one, one, one).flatten().tolist() == [0, 255, 255]
    assert adjusted(batch, one, 2 * one, one).flatten().tolist() == [0, 248, 255]


@pytest.mark.parametrize("turn", [0.1, -0.1, 1 / 3, 0.5])
def test_colours_turn_the_way_torchvision_turns_them(turn: float) -> None:
    one = torch.ones(1)
    pure = [[200, 90, 90], [90, 200, 90], [90, 90, 200], [180, 170, 60]]
    for colour in pure:
        batch = torch.tensor(colour, dtype=torch.uint8)[None, :, None, None]
        ours = adjusted(batch, one, one, one, torch.tensor([turn])).flatten().float()
        theirs = v2.functional.adjust_hue(batch, turn).flatten().float()
        ours, theirs, before = (
            each - each.mean() for each in (ours, theirs, batch.flatten().float())
        )
        near = torch.cosine_similarity(ours, theirs, dim=0)
        assert near > 0.95
        assert near > torch.cosine_similarity(before, theirs, dim=0)


def test_grey_of_every_pixel_stays_when_colours_turn() -> None:
    batch, one = noise(3, 3), torch.ones(3)
    luma = torch.tensor([0.299, 0.587, 0.114])
    found = adjusted(batch, one, one, one, torch.tensor([0.2, -0.5, 0.4]))
    off = torch.einsum("c,nchw->nhw", luma, found.float() - batch.float())
    inside = ((found > 0) & (found < 255)).all(1)
    assert off[inside].abs().max() < 1
    assert not torch.equal(found, batch)


def test_a_share_of_the_pictures_loses_its_colours() -> None:
    batch = noise(1, 3).repeat(500, 1, 1, 1)
    found = draw(batch, 0, grey=0.3)
    grey = (found[:, :1] == found).all(1).all(1).all(1)
    assert 0.24 < grey.float().mean() < 0.36
    theirs = v2.functional.rgb_to_grayscale(batch, 3)
    assert (found[grey].int() - theirs[grey].int()).abs().max() <= 1
    assert torch.equal(found[~grey], batch[~grey])
