"""Elementwise operations, activations and quantization steps of the ML program in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float32])


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written so that no exponential overflows."""
    return 0.5 * (np.tanh(0.5 * x) + 1.0)


def softmax(x: Array, axis: Array) -> Array:
    """Exponentials along `axis`, scaled to a sum of one."""
    powers = np.exp(x - x.max(axis=int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(axis=int(axis), keepdims=True))


def gelu(x: Array, mode: str) -> Array:
    """x times the normal distribution function at x, exact or by one of two approximations."""
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * sigmoid(1.702 * x)
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2))))


def prelu(x: Array, alpha: Array) -> Array:
    """Scale negative values of channel c of x [1, C, ...] by alpha[c]."""
    slopes = alpha.reshape(-1, *(1,) * (x.ndim - 2))
    return np.where(x < 0, x * slopes, x)


def quantize(
    input: Array,  # noqa: A002 (the program's own name of the argument)
    scale: Array,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    """Round input / scale + zero point to int8 or uint8, saturating at the type's ends."""
    rounded = np.round(input / _along(scale, input, axis))
    shifted = rounded if zero_point is None else rounded + _along(zero_point, input, axis)
    bounds = np.iinfo(output_dtype)
    return np.clip(shifted, bounds.min, bounds.max).astype(output_dtype)


def dequantize(
    input: Array,  # noqa: A002 (the program's own name of the argument)
    scale: Array,
    zero_point: Array | None = None,
    axis: Array | None = None,
) -> Array:
    """Return (input - zero point) * scale as float32."""
    values = input.astype(np.float32)
    if zero_point is not None:
        values = values - _along(zero_point.astype(np.float32), input, axis)
    return values * _along(scale, input, axis)


def constexpr_affine_dequantize(
    quantized_data: Array, zero_point: Array, scale: Array, axis: Array
) -> Array:
    """Return stored int8 weights as float32, one scale and zero point per slice along `axis`."""
    return dequantize(quantized_data, scale, zero_point, axis)


def constexpr_blockwise_shift_scale(
    data: Array, scale: Array, offset: Array | None = None
) -> Array:
    """Return stored integer weights as float32, one scale (and offset) per block of the array."""
    values = data.astype(np.float32)
    if offset is not None:
        values = values - _spread(offset.astype(np.float32), data)
    return values * _spread(scale, data)


def _along(values: Array, like: Array, axis: Array | None) -> Array:
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * like.ndim
    shape[int(axis)] = -1
    return values.reshape(shape)


def _spread(blocks: Array, like: Array) -> Array:
    for axis, size in enumerate(like.shape):
        blocks = np.repeat(blocks, size // blocks.shape[axis], axis=axis)
    return blocks


OPERATIONS: Final[dict[str, Callable[..., Array]]] = {
    "abs": lambda x: np.abs(x),
    "add": lambda x, y: x + y,
    "ceil": lambda x: np.ceil(x),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "cos": lambda x: np.cos(x),
    "dequantize": dequantize,
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "erf": lambda x: _erf(x),
    "exp": lambda x: np.exp(x),
    "floor": lambda x: np.floor(x),
    "gelu": gelu,
    "leaky_relu": lambda x, alpha: np.where(x > 0, x, alpha * x),
    "log": lambda x, epsilon: np.log(x + epsilon),
    "maximum": lambda x, y: np.maximum(x, y),
    "minimum": lambda x, y: np.minimum(x, y),
    "mul": lambda x, y: x * y,
    "pow": lambda x, y: x**y,
    "prelu": prelu,
    "quantize": quantize,
    "real_div": lambda x, y: x / y,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "round": lambda x: np.asarray(np.round(x)),
    "rsqrt": lambda x, epsilon: 1.0 / np.sqrt(x + epsilon),
    "sigmoid": sigmoid,
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "sign": lambda x: np.sign(x),
    "silu": lambda x: x * sigmoid(x),
    "sin": lambda x: np.sin(x),
    "softmax": softmax,
    "softplus": lambda x: np.logaddexp(x, 0),
    "sqrt": lambda x: np.sqrt(x),
    "square": lambda x: x * x,
    "sub": lambda x, y: x - y,
    "tanh": lambda x: np.tanh(x),
    "thresholded_relu": lambda x, alpha: np.where(x >= alpha, x, 0),
}
"""Name in the ML program -> function; arguments go in under the program's own names."""
