"""Surgery: every step replays to the byte on a fresh copy, and what it cannot say is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgepress.bundles import surgery
from edgepress.errors import UserError
from edgepress.records.bundle import Drop, Fold, Insert, Resize


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 8),
        nn.LayerNorm(8),
    )


def _settled(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.uniform_(-1, 1)
                norm.running_var.uniform_(0.5, 2)
                norm.weight.uniform_(0.5, 2)
                norm.bias.uniform_(-1, 1)
    return network.eval()


SAMPLE = torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def test_answers_stay_when_norms_are_folded_and_the_fold_replays_to_the_byte() -> None:
    network = _settled(_network())
    before = network(SAMPLE)
    steps = surgery.fold(network)
    assert steps == (Fold(into="0", module="1"),)
    torch.testing.assert_close(network(SAMPLE), before, rtol=1e-5, atol=1e-5)
    fresh = _network().eval()
    surgery.replay(fresh, steps)
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(SAMPLE), network(SAMPLE))


def test_sizes_of_several_numbers_are_recorded_when_a_layer_norm_shrinks() -> None:
    fresh, cut = _network(), _network()
    cut[6] = nn.Linear(4 * 36, 5)
    cut[7] = nn.LayerNorm(5)
    steps = surgery.difference(fresh, cut)
    assert {step.module: step.attributes for step in steps} == {
        "6": {"out_features": 5},
        "7": {"normalized_shape": (5,)},
    }
    surgery.replay(fresh, steps)
    fresh.load_state_dict(cut.state_dict())
    assert torch.equal(fresh.eval()(SAMPLE), cut.eval()(SAMPLE))


class Wrapper(nn.Module):
    """A container whose size is a property, as timm's ConvNormAct has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, width, 1)

    @property
    def out_channels(self) -> int:
        return self.conv.out_channels


def test_property_of_a_container_is_not_recorded_when_what_it_tells_changed() -> None:
    (step,) = surgery.difference(Wrapper(4), Wrapper(3))
    assert step.module == "conv"


def test_dropped_module_is_passed_over_when_replayed() -> None:
    network = _network().eval()
    surgery.replay(network, (Drop(module="3"), Drop(module="4")))
    assert isinstance(network[3], nn.Identity)
    assert network(SAMPLE).shape == (2, 8)


def test_inserted_layer_is_there_when_replayed() -> None:
    network = _network().eval()
    arguments = {"num_features": 4, "eps": 0.5}
    step = Insert(module="2", layer="BatchNorm2d", arguments=arguments)
    surgery.replay(network, (step,))
    assert isinstance(network[2], nn.BatchNorm2d)
    assert network[2].eps == 0.5
    own = Insert(
        module="extra", layer="edgepress.heads.linear:Linear", arguments={"inputs": 8, "outputs": 2}
    )
    surgery.replay(network, (own,))
    assert network.extra.fc.weight.shape == (2, 8)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Insert(module="2", layer="os.system", arguments={}), "is no layer"),
        (Insert(module="2", layer="Parameter", arguments={}), "is no layer"),
        (Insert(module="2", layer="edgepress.errors:UserError", arguments={}), "is no layer"),
        (Insert(module="2", layer="Conv2d", arguments={"nope": 1}), "nope"),
        (Drop(module="nope"), "no module 'nope'"),
        (Fold(into="2", module="1"), "cannot be folded"),
        (Resize(module="0", attributes={"training": 1}, shapes={}), "is not a size"),
        (Resize(module="0", attributes={}, shapes={"nope": (1,)}), "no tensor 'nope'"),
    ],
)
def test_step_is_refused_in_one_line_when_it_cannot_be_replayed(
    step: Insert | Drop | Fold | Resize, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        surgery.replay(_network(), (step,))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 8))
def test_difference_replays_to_the_byte_when_widths_are_any(inner: int, outer: int) -> None:
    fresh, cut = _network(), _network()
    cut[0], cut[1] = nn.Conv2d(2, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
    cut[3] = nn.Conv2d(inner, 4, 3, padding=1)
    cut[6], cut[7] = nn.Linear(4 * 36, outer), nn.LayerNorm(outer)
    steps = surgery.difference(fresh, cut)
    rebuilt = copy.deepcopy(fresh)
    surgery.replay(rebuilt, steps)
    rebuilt.load_state_dict(cut.state_dict())
    assert torch.equal(rebuilt.eval()(SAMPLE), cut.eval()(SAMPLE))
    assert surgery.difference(rebuilt, cut) == ()
