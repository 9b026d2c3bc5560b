from __future__ import annotations

import torch
from torchvision.transforms.v2 import functional as their

from edgepress.training.blur import blurred, softened
from edgepress.training.changes import Blur


def noise(count: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 24, 33), generator=draws, dtype=torch.uint8)


def test_each_picture_equals_torchvision_when_it_is_softened_by_its_own_width() -> None:
    batch, sigma = noise(4), torch.tensor([0.2, 0.7, 1.3, 2.0])
    ours = softened(batch, sigma)
    for picture, found, width in zip(batch, ours, sigma.tolist(), strict=True):
        theirs = their.gaussian_blur(picture, [15, 15], [width, width])
        assert (found.int() - theirs.int()).abs().max() <= 1


def test_a_share_of_the_pictures_is_softened() -> None:
    batch = noise(1).repeat(300, 1, 1, 1)
    blur = Blur(share=0.3, sigma=(1.0, 2.0))
    found = blurred(batch, blur, torch.Generator().manual_seed(0))
    changed = (found != batch).flatten(1).any(1)
    assert 0.22 < changed.float().mean() < 0.38
    spread = found[changed].float().std((1, 2, 3))
    assert (spread < 0.5 * batch[0].float().std()).all()
    assert spread.std() > 0.5  # each has its own width
    again = blurred(batch, blur, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


def test_small_pictures_are_softened_too() -> None:
    batch = noise(2)[..., :4, :5]
    found = softened(batch, torch.tensor([2.0, 2.0]))
    assert found.shape == batch.shape
    assert found.float().std() < batch.float().std()
