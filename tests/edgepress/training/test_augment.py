from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.training.augment import draw
from edgepress.training.changes import Augment


def augment(batch: torch.Tensor, kind: Augment, generator: torch.Generator) -> torch.Tensor:
    warp = draw(kind, batch.shape, generator)
    return batch if warp is None else warp.pictures(batch)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([8, 15, 32]))
def test_shift_moves_whole_images_by_whole_pixels_when_drawn(
    seed: int, count: int, side: int
) -> None:
    batch = torch.randint(1, 255, (count, 1, side, side), generator=_generator(seed))
    moved = augment(batch, "shift", _generator(seed + 1))
    reach = max(1, side // 8)
    for before, after in zip(batch[:, 0], moved[:, 0], strict=True):
        padded = torch.nn.functional.pad(before, (reach,) * 4)
        windows = [
            padded[y : y + side, x : x + side]
            for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
        ]
        assert any(torch.equal(window, after) for window in windows)


def test_flip_mirrors_about_half_of_the_images_when_many_are_drawn() -> None:
    batch = torch.zeros(400, 1, 8, 8, dtype=torch.uint8)
    batch[..., :3] = 255
    flipped = augment(batch, "flip_shift", _generator(0))
    left, right = flipped[..., :4].float().sum((1, 2, 3)), flipped[..., 4:].float().sum((1, 2, 3))
    share = (right > left).float().mean()
    assert 0.4 < share < 0.6


def test_batch_is_untouched_when_there_is_no_augmentation() -> None:
    batch = torch.rand(3, 1, 8, 8)
    assert augment(batch, "none", _generator(0)) is batch


def test_draws_repeat_when_the_generator_is_seeded_alike() -> None:
    batch = torch.rand(16, 3, 16, 16)
    first = augment(batch, "flip_shift", _generator(5))
    assert torch.equal(first, augment(batch, "flip_shift", _generator(5)))
    assert not torch.equal(first, augment(batch, "flip_shift", _generator(6)))


def test_mask_goes_where_its_picture_goes_when_both_are_moved() -> None:
    pictures = torch.randint(1, 255, (6, 3, 16, 16), generator=_generator(1), dtype=torch.uint8)
    masks = pictures[:, :1] // 64
    warp = draw("flip_shift", pictures.shape, _generator(2))
    assert warp is not None
    moved, labels = warp.move(pictures), warp.move(masks, 255)
    inside = labels != 255
    assert torch.equal(labels[inside], (moved[:, :1] // 64)[inside])
    assert torch.equal(~inside, moved[:, :1] == 0)
