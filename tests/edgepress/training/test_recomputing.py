from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training.loop import Job
from edgepress.training.recomputing import blocks, recomputing
from tests.classified import network
from tests.edgepress.training.test_loop import RECIPE, TASK, Digits, _network, _same

BACKBONE = {"method": "resnet_cifar", "depth": 20, "width": 8}


def _made(digits: Digits) -> nn.Module:
    torch.manual_seed(0)
    return network(digits[0].spec, 10, BACKBONE)


def _saved(made: nn.Module, images: torch.Tensor, wanted: bool) -> int:
    """Return the bytes that are kept for the gradients."""
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        recomputing(made, wanted),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        made(images).sum().backward()
    weights = {each.untyped_storage().data_ptr() for each in made.parameters()}
    return sum(size for place, size in seen.items() if place not in weights)


def test_weights_and_statistics_are_the_same_when_blocks_are_computed_again(
    digits: Digits,
) -> None:
    trained = []
    for checkpointing in (False, True):
        made = _made(digits)
        recipe = {**RECIPE, "epochs": 1, "checkpointing": checkpointing, "accumulate": 2}
        resolve("training", recipe, "x", "y")(Job(made, digits[0], None, 0, TASK))
        trained.append(made)
    assert _same(*trained)
    assert all("forward" not in vars(module) for module in trained[1].modules())


def test_draws_of_a_block_are_the_same_when_it_is_computed_again(digits: Digits) -> None:
    class Drops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.5), nn.Linear(64, 64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inside(x)  # type: ignore[no-any-return]

    slopes = []
    for wanted in (False, True):
        torch.manual_seed(0)
        made = nn.Sequential(Drops(), Drops(), nn.Linear(64, 10))
        with recomputing(made, wanted):
            made(torch.ones(4, 64)).square().sum().backward()
        slopes.append([each.grad for each in made.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))  # type: ignore[arg-type]


def test_less_is_kept_for_the_gradients_when_blocks_are_computed_again(digits: Digits) -> None:
    made, images = _made(digits).train(), torch.zeros(16, 1, 8, 8)
    assert _saved(made, images, wanted=True) < 0.4 * _saved(made, images, wanted=False)


@pytest.mark.parametrize(
    ("model", "count", "kind"),
    [
        ("resnet18", 8, "BasicBlock"),
        ("mobilenetv3_small_050", 11, "InvertedResidual"),
        ("test_vit", 6, "Block"),
        ("test_convnext", 9, "ConvNeXtBlock"),
    ],
)
def test_blocks_are_those_of_timms_models(model: str, count: int, kind: str) -> None:
    import timm

    found = [type(each).__name__ for each in blocks(timm.create_model(model, num_classes=0))]
    assert found.count(kind) >= count - 1
    assert len(found) == count


def test_checkpointing_is_refused_when_there_is_nothing_to_compute_again(digits: Digits) -> None:
    recipe: dict[str, Any] = {**RECIPE, "checkpointing": True}
    with pytest.raises(UserError, match="checkpointing: this network has no blocks"):
        resolve("training", recipe, "x", "y")(Job(_network(), digits[0], None, 0, TASK))
    with pytest.raises(UserError, match="compile and checkpointing do not go together"):
        resolve("training", {**recipe, "compile": True}, "x", "y")
