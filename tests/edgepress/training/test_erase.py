from __future__ import annotations

from typing import Any

import pytest
import torch

from edgepress.training.augment import augmented
from edgepress.training.changes import Changes
from edgepress.training.mixing import Sample

COUNT, HEIGHT, WIDTH = 400, 20, 30


def erased(seed: int, batch: torch.Tensor, **named: Any) -> torch.Tensor:
    changes = Changes.model_validate({"erase": named})
    sample = Sample(batch, {"label": torch.arange(len(batch))})
    found = augmented(sample, changes, None, torch.Generator().manual_seed(seed))
    assert torch.equal(found.truth["label"], torch.arange(len(batch)))
    return found.images


def flat() -> torch.Tensor:
    levels = (torch.arange(COUNT) % 100 + 50).to(torch.uint8)
    batch = levels[:, None, None, None].repeat(1, 3, HEIGHT, WIDTH)
    batch[:, :, ::2] += 100  # stripes: their mean is no level of theirs
    return batch


def test_boxes_of_the_drawn_area_are_filled_with_the_mean() -> None:
    batch = flat()
    found = erased(0, batch, share=0.4, area=[0.1, 0.3])
    gone = (found != batch).any(1)
    share = gone.float().mean((1, 2))
    hit = share > 0
    assert 0.32 < hit.float().mean() < 0.48
    assert ((share[hit] > 0.08) & (share[hit] < 0.34)).all()
    assert torch.equal(found[:, 0][gone], (batch[:, 0, 1] + 50)[:, None].expand_as(gone)[gone])
    for index in torch.nonzero(hit)[:, 0].tolist():
        rows, columns = torch.nonzero(gone[index], as_tuple=True)
        box = gone[index, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.all()


def test_noise_fills_when_it_is_asked_for() -> None:
    batch = torch.zeros(50, 3, 64, 64, dtype=torch.uint8)
    found = erased(1, batch, share=1.0, area=[0.5, 0.5], fill="noise")
    inside = found[(found != 0).any(1)[:, None].expand_as(found)].float()
    assert inside.mean() == pytest.approx(127.5, abs=4)
    assert inside.std() == pytest.approx(73.9, abs=4)


def test_draws_repeat_when_the_generator_is_seeded_alike() -> None:
    batch = flat()
    first = erased(2, batch, share=0.5)
    assert torch.equal(first, erased(2, batch, share=0.5))
    assert not torch.equal(first, erased(3, batch, share=0.5))
