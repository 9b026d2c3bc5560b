"""Operators with weights: convolutions, linear layers, normalisations; matrix products too."""

from __future__ import annotations

from typing import Any, Final, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepress.backbones._onnx.node import Array, Node, Operator, Reading
from edgepress.backbones._onnx.windows import window

_CONVOLUTIONS: Final = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: Final = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class FrozenNorm(nn.BatchNorm2d):
    """Batch norm by the statistics of the file, in training too; a graph has no others."""

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in eval mode."""
        return super().train(False)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of axes."""


def _with_bias(node: Node, at: int, weight: Array) -> dict[str, Array]:
    found = {"weight": weight}
    if node.has(at):
        found["bias"] = node.weight(at).reshape(-1)
    return found


def _conv(node: Node) -> Reading:
    weight = node.weight(1)
    by, groups = window(node, weight.shape[2:]), int(node.attributes.get("group", 1))
    tensors = _with_bias(node, 2, weight)
    arguments: dict[str, Any] = {
        "in_channels": weight.shape[1] * groups,
        "out_channels": weight.shape[0],
        "groups": groups,
        "kernel_size": by.size,
        "stride": by.stride,
        "dilation": by.dilation,
        "padding": by.before,
        "bias": "bias" in tensors,
    }
    if not by.even:
        arguments |= {"padding": (0,) * len(by.size), "around": tuple(by.around)}
        tensors = {f"1.{name}": tensor for name, tensor in tensors.items()}
    return Reading(node.inputs[:1], arguments, tensors)


def _convolution(around: tuple[int, ...] = (), **arguments: Any) -> nn.Module:
    kind: Any = _CONVOLUTIONS[len(arguments["kernel_size"])]
    layer: nn.Module = kind(**arguments)
    if not around:
        return layer
    pad: Any = {2: nn.ConstantPad1d, 4: nn.ZeroPad2d, 6: nn.ConstantPad3d}[len(around)]
    return nn.Sequential(pad(around) if len(around) == 4 else pad(around, 0.0), layer)


def _conv_transpose(node: Node) -> Reading:
    weight = node.weight(1)
    by, groups = window(node, weight.shape[2:]), int(node.attributes.get("group", 1))
    if not by.even or node.attributes.get("output_shape") or "auto_pad" in node.attributes:
        raise node.refused("pads its two ends unlike")
    tensors = _with_bias(node, 2, weight)
    arguments: dict[str, Any] = {
        "in_channels": weight.shape[0],
        "out_channels": weight.shape[1] * groups,
        "groups": groups,
        "kernel_size": by.size,
        "stride": by.stride,
        "dilation": by.dilation,
        "padding": by.before,
        "output_padding": tuple(node.attributes.get("output_padding", (0,) * len(by.size))),
        "bias": "bias" in tensors,
    }
    return Reading(node.inputs[:1], arguments, tensors)


def _transposed(**arguments: Any) -> nn.Module:
    kind: Any = _TRANSPOSED[len(arguments["kernel_size"])]
    return cast(nn.Module, kind(**arguments))


def _linear(name: str, weight: Array, bias: Array | None) -> Reading:
    """Return a linear layer of a weight [out, in]."""
    held: dict[str, Any] = {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": bias is not None,
    }
    tensors = {"weight": weight}
    if bias is not None:
        tensors["bias"] = np.broadcast_to(bias, (1, len(weight))).reshape(-1)
    return Reading((name,), held, tensors)


def _gemm(node: Node) -> Reading:
    alpha, beta = (float(node.attributes.get(key, 1.0)) for key in ("alpha", "beta"))
    weight, bias = node.constant(1), node.constant(2)
    if weight is None or node.attributes.get("transA", 0) or (node.has(2) and bias is None):
        raise node.refused("multiplies by what it computes; export it as MatMul")
    if bias is not None and bias.size not in (1, node.given()[1]):
        raise node.refused(f"adds a bias {bias.shape} to {node.given()}")
    whole = weight if node.attributes.get("transB", 0) else weight.T
    return _linear(node.inputs[0], alpha * whole, None if bias is None else beta * bias)


def _matmul(node: Node) -> Reading:
    weight = node.constant(1)
    if weight is None or weight.ndim != 2 or node.constant(0) is not None:
        return Reading(node.inputs)
    return _linear(node.inputs[0], weight.T, None)


def _product(**arguments: Any) -> Any:
    return nn.Linear(**arguments) if arguments else torch.matmul


def _batch_norm(node: Node) -> Reading:
    if node.attributes.get("training_mode", 0):
        raise node.refused("is in training mode; export the network in eval mode")
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: node.weight(at) for at, name in enumerate(names, 1)}
    held = {"num_features": len(tensors["weight"]), "eps": node.attributes.get("epsilon", 1e-5)}
    # What torch counts in training, and safetensors hold.
    tensors["num_batches_tracked"] = np.array(0, np.int64)
    return Reading(node.inputs[:1], dict(held), tensors)


def _layer_norm(node: Node) -> Reading:
    if len(node.outputs) > 1:
        raise node.refused("gives its mean and deviation too")
    axis = int(node.attributes.get("axis", -1))
    shape = node.shape()[axis:]
    tensors = {"weight": np.broadcast_to(node.weight(1), shape).copy()}
    if node.has(2):
        tensors["bias"] = np.broadcast_to(node.weight(2), shape).copy()
    held = {"normalized_shape": shape, "eps": node.attributes.get("epsilon", 1e-5)}
    return Reading(node.inputs[:1], {**held, "bias": "bias" in tensors}, tensors)


def _instance_norm(node: Node) -> Reading:
    tensors = {"weight": node.weight(1), "bias": node.weight(2)}
    held = {"num_channels": len(tensors["weight"]), "num_groups": len(tensors["weight"])}
    eps = node.attributes.get("epsilon", 1e-5)
    return Reading(node.inputs[:1], {**held, "eps": eps}, tensors)


def _group_norm(node: Node) -> Reading:
    scale, bias = node.weight(1), node.weight(2)
    channels, groups = node.shape()[1], int(node.attributes["num_groups"])
    tensors = {
        name: np.repeat(tensor, channels // len(tensor))
        for name, tensor in (("weight", scale), ("bias", bias))
    }
    held = {"num_groups": groups, "num_channels": channels}
    eps = node.attributes.get("epsilon", 1e-5)
    return Reading(node.inputs[:1], {**held, "eps": eps}, tensors)


def _local_norm(node: Node) -> Reading:
    found = node.attributes
    held = {"size": int(found["size"]), "alpha": found.get("alpha", 1e-4)}
    return Reading(
        node.inputs[:1], {**held, "beta": found.get("beta", 0.75), "k": found.get("bias", 1.0)}
    )


def _einsum(node: Node) -> Reading:
    return Reading(node.inputs, {"equation": node.attributes["equation"]})


def _summed(equation: str) -> Any:
    return lambda *tensors: torch.einsum(equation, *tensors)


def _attention(node: Node) -> Reading:
    if len(node.shape()) != 4 or len(node.outputs) > 1 or any(map(node.has, (4, 5, 6))):
        raise node.refused("keeps a past, or has heads in one axis; export it with opset 18")
    if node.attributes.get("softcap", 0.0):
        raise node.refused("caps what goes into its softmax")
    inputs = tuple(node.inputs[at] for at in range(4) if node.has(at))
    held = {"scale": node.attributes.get("scale"), "causal": bool(node.attributes.get("is_causal"))}
    return Reading(inputs, dict(held))


def _attended(scale: float | None, causal: bool) -> Any:
    def run(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        many = query.shape[1] != key.shape[1]
        return functional.scaled_dot_product_attention(
            query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=many
        )

    return run


OPERATORS: Final[dict[str, Operator]] = {
    "Attention": Operator(_attention, _attended),
    "BatchNormalization": Operator(_batch_norm, FrozenNorm),
    "Conv": Operator(_conv, _convolution),
    "ConvTranspose": Operator(_conv_transpose, _transposed),
    "Einsum": Operator(_einsum, _summed),
    "Gemm": Operator(_gemm, nn.Linear),
    "GroupNormalization": Operator(_group_norm, nn.GroupNorm),
    "InstanceNormalization": Operator(_instance_norm, nn.GroupNorm),
    "LayerNormalization": Operator(_layer_norm, nn.LayerNorm),
    "LRN": Operator(_local_norm, nn.LocalResponseNorm),
    "MatMul": Operator(_matmul, _product),
}
