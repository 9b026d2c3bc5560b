"""Operators that work on each number alone: arithmetic and activations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, cast

import torch
from torch import Tensor
from torch.nn import functional

from edgepress.backbones._onnx.node import Node, Operator, Reading, pointwise

_FLOAT: Final = 1
"""TensorProto.FLOAT."""
_HUGE: Final = 3.4e38
"""A bound beyond this is none."""


def _attributes(function: Callable[..., Any], **defaults: float) -> Operator:
    """Return an operator of one input and numbers that are attributes."""

    def read(node: Node) -> Reading:
        found = {key: float(node.attributes.get(key, value)) for key, value in defaults.items()}
        return Reading(node.inputs[:1], cast(Any, found))

    return Operator(read, lambda **arguments: functools.partial(function, **arguments))


def _leaky(x: Tensor, alpha: float) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _elu(x: Tensor, alpha: float) -> Tensor:
    return functional.elu(x, alpha)


def _celu(x: Tensor, alpha: float) -> Tensor:
    return functional.celu(x, alpha)


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    return gamma * functional.elu(x, alpha)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid(x)
    return torch.clamp(alpha * x + beta, 0.0, 1.0)


def _swish(x: Tensor, alpha: float) -> Tensor:
    return functional.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)


def _clip(node: Node) -> Reading:
    low, high = node.option("min", 1), node.option("max", 2)
    low = None if low is None or low < -_HUGE else float(low)
    high = None if high is None or high > _HUGE else float(high)
    return Reading(node.inputs[:1], {"low": low, "high": high})


def _clipped(low: float | None, high: float | None) -> Callable[[Tensor], Tensor]:
    """Return a clamp, by the name that quantizers know it by where it has one."""
    if (low, high) == (0.0, 6.0):
        return functional.relu6
    if (low, high) == (0.0, None):
        return functional.relu
    if low is None and high is None:
        return _same
    return functools.partial(torch.clamp, min=low, max=high)


def _cast(node: Node) -> Reading:
    if node.attributes["to"] != _FLOAT:
        raise node.refused("makes other numbers than float32; export the network in float32")
    return Reading(node.inputs[:1])


def _gelu(node: Node) -> Reading:
    return Reading(node.inputs[:1], {"approximate": node.attributes.get("approximate", "none")})


def _prelu(node: Node) -> Reading:
    slope = node.weight(1)
    if slope.size not in (1, node.shape()[1] if len(node.shape()) > 1 else 1):
        raise node.refused(f"has slopes {slope.shape} that are not one per channel")
    tensors = {"weight": slope.reshape(-1)}
    return Reading(node.inputs[:1], {"num_parameters": int(slope.size)}, tensors)


def _same(x: Tensor) -> Tensor:
    return x


def _float(x: Tensor) -> Tensor:
    return x.float()


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return a function of two tensors as one of any number."""
    return lambda *tensors: functools.reduce(function, tensors)


def _average(*tensors: Tensor) -> Tensor:
    return functools.reduce(torch.add, tensors) / len(tensors)


OPERATORS: Final[dict[str, Operator]] = {
    "Abs": pointwise(torch.abs),
    "Add": pointwise(torch.add),
    "Cast": Operator(_cast, lambda: _float),
    "Ceil": pointwise(torch.ceil),
    "Celu": _attributes(_celu, alpha=1.0),
    "Clip": Operator(_clip, _clipped),
    "Cos": pointwise(torch.cos),
    "Div": pointwise(torch.div),
    "Elu": _attributes(_elu, alpha=1.0),
    "Erf": pointwise(torch.erf),
    "Exp": pointwise(torch.exp),
    "Floor": pointwise(torch.floor),
    "Gelu": Operator(_gelu, lambda **held: functools.partial(functional.gelu, **held)),
    "HardSigmoid": _attributes(_hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": pointwise(functional.hardswish),
    "Identity": pointwise(_same),
    "LeakyRelu": _attributes(_leaky, alpha=0.01),
    "Log": pointwise(torch.log),
    "Max": pointwise(_folded(torch.maximum)),
    "Mean": pointwise(_average),
    "Min": pointwise(_folded(torch.minimum)),
    "Mish": pointwise(functional.mish),
    "Mul": pointwise(torch.mul),
    "Neg": pointwise(torch.neg),
    "Pow": pointwise(torch.pow),
    "PRelu": Operator(_prelu, torch.nn.PReLU),
    "Reciprocal": pointwise(torch.reciprocal),
    "Relu": pointwise(functional.relu),
    "Selu": _attributes(_selu, alpha=1.6732632423543772, gamma=1.0507009873554805),
    "Sigmoid": pointwise(torch.sigmoid),
    "Sign": pointwise(torch.sign),
    "Sin": pointwise(torch.sin),
    "Softplus": pointwise(functional.softplus),
    "Softsign": pointwise(functional.softsign),
    "Sqrt": pointwise(torch.sqrt),
    "Sub": pointwise(torch.sub),
    "Sum": pointwise(_folded(torch.add)),
    "Swish": _attributes(_swish, alpha=1.0),
    "Tanh": pointwise(torch.tanh),
    "Where": pointwise(torch.where),
}
