"""The interpreter against PyTorch, operation by operation, through real conversions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepress.runtimes.mil import elementwise, shapes
from edgepress.runtimes.mil.interpreter import Interpreter
from edgepress.runtimes.mil.program import Operation, read_program
from edgepress.runtimes.session import NotHere


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def sample(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3


def _prelu() -> nn.Module:
    layer = nn.PReLU(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.1, 0.5, 2.0]))
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=(0, 1), bias=False),
        nn.Conv2d(4, 8, (1, 3), stride=(2, 1), dilation=(1, 2), padding=2),
        nn.Conv2d(4, 4, 5, padding=2, groups=4),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
        nn.Conv2d(4, 6, 3, padding="same"),
    ],
    ids=["3x3", "strided", "dilated", "depthwise", "grouped", "same"],
)
def test_conv_equals_pytorch_when_converted(check, layer):
    check(layer, sample(1, 4, 9, 7), "conv")


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.MaxPool2d(2), "max_pool"),
        (nn.MaxPool2d(3, 2, 1), "max_pool"),
        (nn.MaxPool2d(2, ceil_mode=True), "max_pool"),
        (nn.AvgPool2d(2), "avg_pool"),
        (nn.AvgPool2d(3, 2, 1), "avg_pool"),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "avg_pool"),
        (nn.AdaptiveAvgPool2d(1), "reduce_mean"),
    ],
    ids=["max", "max padded", "max ceil", "mean", "mean padded", "mean without padding", "global"],
)
def test_pooling_equals_pytorch_when_converted(check, layer, kind):
    check(layer, sample(1, 3, 9, 7), kind)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU6(), "clip"),
        (Call(functional.relu6), "relu6"),
        (Call(lambda x: (x.abs() + 0.5).log()), "log"),
        (Call(torch.erf), "erf"),
        (Call(lambda x: x.sin() + x.cos() + x.sign()), "cos"),
        (Call(lambda x: (4 * x).floor() + (3 * x).ceil() * (5 * x).round()), "round"),
        (nn.Hardtanh(-1.5, 2.0), "clip"),
        (nn.LeakyReLU(0.1), "leaky_relu"),
        (_prelu(), "prelu"),
        (nn.ELU(0.7), "elu"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Hardsigmoid(), "sigmoid_hard"),
        (nn.Hardswish(), "thresholded_relu"),
        (nn.SiLU(), "silu"),
        (nn.Tanh(), "tanh"),
        (nn.Softplus(), "softplus"),
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu"),
        (nn.Softmax(dim=1), "softmax"),
        (Call(lambda x: x + 2 * x), "add"),
        (Call(lambda x: x - x.abs() / 2), "abs"),
        (Call(lambda x: x / (x.square() + 1)), "real_div"),
        (Call(lambda x: torch.maximum(x, torch.minimum(x * 2, -x))), "minimum"),
        (Call(lambda x: (x.abs() + 1).sqrt() * (x.abs() + 1).rsqrt() + x.exp()), "sqrt"),
    ],
    ids=str,
)
def test_elementwise_equals_pytorch_when_converted(check, function, kind):
    check(function, sample(1, 3, 5, 4), kind)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x.mean((2, 3)), "reduce_mean"),
        (lambda x: x.sum(1, keepdim=True), "reduce_sum"),
        (lambda x: x.amax((1, 2)), "reduce_max"),
        (lambda x: x.flatten(1), "reshape"),
        (lambda x: x.permute(0, 2, 3, 1), "transpose"),
        (lambda x: torch.cat([x, -x], 1), "concat"),
        (lambda x: x[:, 1:3, ::2], "slice_by_index"),
        (lambda x: x[:, -1], "slice_by_index"),
        (lambda x: torch.mul(*x.chunk(2, dim=3)), "split"),
        (lambda x: torch.mul(*x.split([3, 1], dim=3)[:1], 2), "split"),
        (lambda x: functional.pad(x, (1, 2, 0, 3), value=0.5), "pad"),
        (lambda x: functional.pad(x, (1, 2, 1, 0), mode="reflect"), "pad"),
        (lambda x: x.mean((2, 3), keepdim=True).squeeze(3).unsqueeze(1), "squeeze"),
        (lambda x: x @ x.transpose(2, 3), "matmul"),
        (lambda x: x.amin(3), "reduce_min"),
        (lambda x: x.argmax(1).float(), "reduce_argmax"),
        (lambda x: functional.interpolate(x, scale_factor=2.0), "upsample_nearest_neighbor"),
        (lambda x: _raised(x, (10, 8)), "upsample_bilinear"),
        (lambda x: _raised(x, (7, 9)), ""),
        (lambda x: functional.interpolate(x, (9, 7), mode="bilinear", align_corners=True), ""),
        (lambda x: x**3, "pow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shapes_equal_pytorch_when_converted(check, function, kind):
    check(Call(function), sample(1, 3, 5, 4), *filter(None, [kind]))


def _raised(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(3, 4, 2, 2),
        nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1),
        nn.ConvTranspose2d(4, 8, 3, 2, 1, groups=2),
    ],
    ids=["doubling", "padded", "grouped"],
)
def test_transposed_conv_equals_pytorch_when_converted(check, layer):
    check(layer, sample(1, layer.in_channels, 5, 4), "conv_transpose")


def test_normalization_equals_pytorch_when_it_is_not_folded_away(check):
    norm = nn.BatchNorm2d(3)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.1, 3)
    check(nn.Sequential(nn.ReLU(), norm), sample(1, 3, 5, 4), "batch_norm")
    layer = nn.LayerNorm(4, eps=1e-3)
    torch.nn.init.uniform_(layer.weight, 0.5, 2)
    check(layer, sample(1, 3, 5, 4), "layer_norm")


def test_linear_equals_pytorch_when_it_has_a_bias(check):
    check(nn.Linear(4, 3), sample(2, 4), "linear")


def test_values_are_rounded_as_declared_when_the_program_is_float16(check, convert, tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    check(network, sample(1, 3, 5, 4), "cast", "conv", half=True)
    double = convert(Call(lambda x: x * 2 / 2), torch.zeros(1, 1), tmp_path, True)
    answer = Interpreter(double).run({"x": np.array([[2049.0]], np.float32)})["y"]
    assert answer.item() == 2048.0  # 2049 needs 12 bits, float16 has 11


def test_weights_are_unpacked_when_they_are_int8(convert, tmp_path):
    from edgepress.runtimes.coreml import library

    coremltools = library()
    layer = nn.Conv2d(3, 8, 3)
    convert(layer, sample(1, 3, 6, 6), tmp_path)
    import coremltools.optimize.coreml as optimize

    model = coremltools.models.MLModel(str(tmp_path / "test.mlpackage"), skip_model_load=True)
    scheme = optimize.OpLinearQuantizerConfig(mode="linear", weight_threshold=0)
    packed = optimize.linear_quantize_weights(model, optimize.OptimizationConfig(scheme))
    packed.save(str(tmp_path / "packed.mlpackage"))
    program = read_program(tmp_path / "packed.mlpackage")
    assert "constexpr_affine_dequantize" in {step.kind for step in program.operations}
    expected = layer(sample(1, 3, 6, 6)).detach().numpy()
    answer = Interpreter(program).run({"x": sample(1, 3, 6, 6).numpy()})["y"]
    step = float(np.ptp(layer.weight.detach().numpy())) / 255
    assert 0 < np.abs(answer - expected).max() < step * 27 * 5


def test_quantize_and_dequantize_follow_the_specification_when_given_numbers():
    values = np.array([-300.0, -1.26, 0.0, 0.25, 0.75, 300.0], np.float32)
    steps = elementwise.quantize(values, np.float32(0.5), "int8", zero_point=np.int8(3))
    assert steps.dtype == np.int8
    assert steps.tolist() == [-128, 0, 3, 3, 5, 127]
    back = elementwise.dequantize(steps, np.float32(0.5), zero_point=np.int8(3))
    assert back.tolist() == [-65.5, -1.5, 0.0, 0.0, 1.0, 62.0]
    assert elementwise.quantize(values, np.float32(0.5), "uint8").tolist() == [0, 0, 0, 0, 2, 255]


def test_quantize_takes_one_scale_per_slice_when_an_axis_is_given():
    values = np.array([[1.0, 1.0], [3.0, -3.0]], np.float32)
    scale = np.array([0.1, 0.5], np.float32)
    rows = elementwise.quantize(values, scale, "int8", axis=np.int32(0))
    assert rows.tolist() == [[10, 10], [6, -6]]
    columns = elementwise.dequantize(rows, scale, axis=np.int32(1))
    np.testing.assert_allclose(columns, [[1.0, 5.0], [0.6, -3.0]], rtol=1e-6)


def test_concat_takes_slices_in_turn_when_interleaved():
    pair = (np.array([[1, 2]]), np.array([[3, 4]]))
    assert shapes.concat(pair, np.int32(1), interleave=True).tolist() == [[1, 3, 2, 4]]


def test_blockwise_weights_are_spread_when_blocks_are_smaller_than_the_array():
    data = np.arange(8, dtype=np.int8).reshape(2, 4)
    scale = np.array([[1.0, 10.0], [0.5, 2.0]], np.float32)
    offset = np.array([[1, 0], [0, 4]], np.int8)
    answer = elementwise.constexpr_blockwise_shift_scale(data, scale, offset)
    assert answer.tolist() == [[-1.0, 0.0, 20.0, 30.0], [2.0, 2.5, 4.0, 6.0]]


def test_interpreter_names_the_operation_when_it_is_unknown(convert, tmp_path):
    program = convert(nn.ReLU(), torch.zeros(1, 2), tmp_path)
    strange = Operation("topk", {}, {}, ("a",), ("FLOAT32",))
    changed = type(program)(
        program.path,
        program.inputs,
        program.outputs,
        (*program.operations, strange),
    )
    with pytest.raises(NotHere, match="does not know topk"):
        Interpreter(changed)
