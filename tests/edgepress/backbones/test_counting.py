"""Counting: held against published figures and against arithmetic for each way to multiply."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from edgepress.backbones import _counting


class Called(nn.Module):
    """A function of the image as a network."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Any:
        return self.function(images)


def _of(function: Callable[[Tensor], Any], *shape: int) -> _counting.Count:
    return _counting.count(Called(function), shape)


# Published: torchvision's `_ops` of the weights, in billions, counted at operators as well.
@pytest.mark.parametrize(
    ("name", "shape", "billions"),
    [
        ("resnet50", (3, 224, 224), 4.089),
        ("mobilenet_v3_large", (3, 224, 224), 0.217),
        ("vit_b_16", (3, 224, 224), 17.564),
        ("swin_t", (3, 224, 224), 4.491),
        ("r3d_18", (3, 16, 112, 112), 40.697),
        ("lraspp_mobilenet_v3_large", (3, 520, 520), 2.086),
    ],
)
def test_macs_are_torchvisions_published_to_the_last_digit(
    name: str, shape: tuple[int, ...], billions: float
) -> None:
    without = {"weights_backbone": None} if name.startswith("lraspp") else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, **without)
    assert round(_counting.macs(network, (1, *shape)) / 1e9, 3) == billions


# Published: infer_gmacs of timm's results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv, by
# fvcore, which adds 5 per element of a layer norm and 2 of a batch norm; we add none.
@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("vit_tiny_patch16_224", 1.26),
        ("deit_tiny_patch16_224", 1.26),
        ("resnet50", 4.11),
        ("mobilenetv3_large_100", 0.23),
        ("levit_128s", 0.31),
        ("xcit_tiny_12_p16_224", 1.24),
        ("ghostnetv2_100", 0.18),
    ],
)
def test_macs_are_timms_published_once_norms_are_added_as_fvcore_does(
    name: str, billions: float
) -> None:
    added = 0

    def add(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal added
        added += output.numel() * (5 if isinstance(module, nn.LayerNorm) else 2)

    with torch.device("meta"):
        network = timm.create_model(name)
    for module in network.modules():
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d | nn.BatchNorm1d):
            module.register_forward_hook(add)
    macs = _counting.macs(network, (1, 3, 224, 224))
    assert round((macs + added) / 1e9, 2) == billions
    assert 0 < added < 0.1 * macs


def test_macs_match_the_arithmetic_when_convolutions_are_grouped() -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), nn.Flatten(), nn.Linear(8 * 25, 10)
    )
    assert _counting.macs(network, (1, 4, 5, 5)) == 8 * 25 * 1 * 9 + 8 * 25 * 10


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv1d(4, 6, 3), (4, 10), 6 * 8 * 4 * 3),
        (nn.Conv3d(2, 4, 3, padding=1, groups=2), (2, 5, 5, 5), 4 * 125 * 1 * 27),
        (nn.ConvTranspose1d(4, 6, 3, 2), (4, 7), 4 * 7 * 6 * 3),
        (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (4, 5, 5), 4 * 25 * 3 * 9),
        (nn.ConvTranspose3d(2, 3, 2, 2), (2, 4, 4, 4), 2 * 64 * 3 * 8),
        (nn.Linear(4, 5), (4,), 4 * 5),
        (nn.Linear(4, 5), (2, 3, 7, 4), 2 * 3 * 7 * 4 * 5),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8), None),
        (nn.LSTM(4, 6, num_layers=2, batch_first=True), (9, 4), 9 * 24 * (4 + 6 + 6 + 6)),
        (nn.GRU(4, 6, batch_first=True, bidirectional=True), (9, 4), 2 * 9 * 18 * (4 + 6)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_macs_match_the_arithmetic_of_the_layer(
    layer: nn.Module, shape: tuple[int, ...], expected: int | None, device: str
) -> None:
    if expected is None:  # projections of five tokens, their attention, and the two wide layers
        expected = 5 * 8 * (3 * 8 + 8) + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 16
    found = _counting.count(copy.deepcopy(layer).to(device), (1, *shape))
    assert (found.macs, found.uncounted) == (expected, ())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x @ x.mT, 2 * 3 * 3 * 4),
        (lambda x: torch.bmm(x[0], x[0].mT), 2 * 3 * 3 * 4),
        (lambda x: torch.einsum("bhid,bhjd->bhij", x, x), 2 * 3 * 3 * 4),
        (lambda x: torch.tensordot(x, x, dims=([3], [3])), 6 * 6 * 4),
        (lambda x: x[0, 0] @ x[0, 0, 0], 3 * 4),
        (lambda x: x[0, 0, 0] @ x[0, 0, 0], 4),
        (lambda x: torch.baddbmm(x[0], x[0], x[0, :, :1].mT @ x[0, :, :1]), 2 * 4 * (4 + 3 * 4)),
        (
            lambda x: nn.functional.scaled_dot_product_attention(x, x[:, :, :2], x[:, :, :2]),
            2 * 3 * 2 * (4 + 4),
        ),
        (lambda x: nn.functional.linear(x, x[0, 0]), 2 * 3 * 4 * 3),
    ],
    ids=["matmul", "bmm", "einsum", "tensordot", "mv", "dot", "baddbmm", "attention", "functional"],
)
def test_macs_match_the_arithmetic_when_no_module_multiplies(
    function: Callable[[Tensor], Any], expected: int
) -> None:
    assert _of(function, 1, 2, 3, 4).macs == expected


@pytest.mark.parametrize("fused", [False, True])
def test_attention_counts_the_same_whether_it_is_fused_or_written_out(fused: bool) -> None:
    network = timm.create_model("test_vit")
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    tokens, width, depth = 101, 64, 6
    attention = depth * 2 * tokens * tokens * width
    linear = depth * tokens * width * width * (4 + 2 * 3) + 100 * 3 * 256 * width + width * 1000
    assert _counting.macs(network, (1, 3, 160, 160)) == attention + linear


def _recurrence(images: Tensor) -> Tensor:
    """h = a * h + b * x over the second axis, read out by a matrix, as selective scans do."""
    state, out = torch.zeros_like(images[:, 0]), []
    for step in images.unbind(1):
        state = 0.9 * state + 0.1 * step
        out.append(state @ torch.ones(8, 3, device=images.device))
    return torch.stack(out, 1)


@pytest.mark.parametrize("steps", [4, 40])
def test_scan_costs_in_proportion_to_its_steps(steps: int) -> None:
    found = _of(_recurrence, 1, steps, 8)
    assert found == _counting.Count(macs=steps * 8 * 3, products=steps * 2 * 8, uncounted=())


def test_cumulative_product_multiplies_and_a_sum_does_not() -> None:
    assert _of(lambda x: x.cumprod(1), 1, 5, 3).products == 15
    assert _of(lambda x: x.cumsum(1), 1, 5, 3) == _counting.Count(0, 0, ())


@torch.library.custom_op("edgepress_tests::scan", mutates_args=())
def custom_scan(x: Tensor) -> Tensor:
    return x.cumsum(1) * 2


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (custom_scan, "edgepress_tests::scan"),
        (lambda x: torch.fft.rfft2(x), "_fft_r2c"),
        (lambda x: torch.cdist(x, x), "_cdist_forward"),
        (lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)), "cond"),
    ],
    ids=["custom", "fourier", "distances", "branch"],
)
def test_operator_is_named_when_it_cannot_be_counted(
    function: Callable[[Tensor], Any], name: str
) -> None:
    assert _of(function, 1, 4, 4).uncounted == (name,)


def test_macs_are_per_image_when_the_shape_is_a_batch() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert _counting.macs(network, (5, 1, 6, 6)) == _counting.macs(network, (1, 1, 6, 6))


def test_mode_is_kept_when_a_training_network_is_counted() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    _counting.macs(network, (1, 1, 6, 6))
    assert network.training
    assert torch.equal(network[1].running_mean, torch.zeros(2))
