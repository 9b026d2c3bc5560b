"""Convolution, pooling, linear layers and normalization of the ML program, NCHW, in NumPy.

Meaning of each operation: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]


def conv(
    x: Array,
    weight: Array,
    strides: Array,
    pad_type: str,
    pad: Array,
    dilations: Array,
    groups: Array,
    bias: Array | None = None,
) -> Array:
    """Convolve x [1, C, H, W] with weight [O, C / groups, kh, kw] and add bias [O]."""
    spans = (np.array(weight.shape[2:]) - 1) * dilations + 1
    padded = _padded(x, _margins(x, spans, strides, pad_type, pad), 0.0)
    windows = _windows(padded, spans, strides)[..., :: int(dilations[0]), :: int(dilations[1])]
    height, width = windows.shape[2:4]
    count = int(groups)
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), count, -1, height * width)
    kernels = weight.reshape(count, len(weight) // count, -1)
    answer = np.matmul(kernels, columns).reshape(len(x), len(weight), height, width)
    return np.asarray(answer if bias is None else answer + bias[:, None, None])


def conv_transpose(
    x: Array,
    weight: Array,
    strides: Array,
    pad_type: str,
    pad: Array,
    dilations: Array,
    groups: Array,
    bias: Array | None = None,
    output_shape: Array | None = None,
) -> Array:
    """Transposed convolution of x [1, C, H, W] with weight [C, O / groups, kh, kw], bias [O]."""
    count, (tall, wide) = int(groups), [int(step) for step in strides]
    kernel = [int(size) for size in weight.shape[2:]]
    spans = [(kernel[axis] - 1) * int(dilations[axis]) + 1 for axis in (0, 1)]
    height = (x.shape[2] - 1) * tall + spans[0]
    width = (x.shape[3] - 1) * wide + spans[1]
    inputs = x[0].reshape(count, x.shape[1] // count, -1)
    kernels = weight.reshape(count, x.shape[1] // count, -1)
    columns = np.matmul(kernels.swapaxes(1, 2), inputs)
    columns = columns.reshape(-1, *kernel, *x.shape[2:])
    full = np.zeros((len(columns), height, width), x.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * int(dilations[0]), column * int(dilations[1])
            bottom, right = top + tall * x.shape[2], left + wide * x.shape[3]
            full[:, top:bottom:tall, left:right:wide] += columns[:, row, column]
    cut = [0, 0, 0, 0] if pad_type == "valid" else [int(each) for each in pad]
    answer = full[None, :, cut[0] : height - cut[1], cut[2] : width - cut[3]]
    if output_shape is not None:
        answer = answer[:, :, : int(output_shape[2]), : int(output_shape[3])]
    return np.asarray(answer if bias is None else answer + bias[:, None, None])


def max_pool(
    x: Array, kernel_sizes: Array, strides: Array, pad_type: str, pad: Array, ceil_mode: bool
) -> Array:
    """Take the largest value of each window of x [1, C, H, W]."""
    margins = _margins(x, kernel_sizes, strides, pad_type, pad)
    padded = _padded(x, _raised(x, margins, kernel_sizes, strides, ceil_mode), -np.inf)
    return np.asarray(_windows(padded, kernel_sizes, strides).max(axis=(4, 5)))


def avg_pool(
    x: Array,
    kernel_sizes: Array,
    strides: Array,
    pad_type: str,
    pad: Array,
    exclude_padding_from_average: bool,
    ceil_mode: bool,
) -> Array:
    """Average each window of x [1, C, H, W]; padding counts as zeros unless it is excluded."""
    margins = _margins(x, kernel_sizes, strides, pad_type, pad)
    raised = _raised(x, margins, kernel_sizes, strides, ceil_mode)
    sums = _windows(_padded(x, raised, 0.0), kernel_sizes, strides).sum(axis=(4, 5))
    counted = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if not exclude_padding_from_average:
        counted = _padded(counted, margins, 1.0)
        raised = [(0, after - end) for (_, after), (_, end) in zip(raised, margins, strict=True)]
    counts = _windows(_padded(counted, raised, 0.0), kernel_sizes, strides).sum(axis=(4, 5))
    return np.asarray(sums / counts)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Multiply x [..., C] by weight [O, C] and add bias [O]."""
    answer = x @ weight.T
    return np.asarray(answer if bias is None else answer + bias)


def matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """Multiply matrices over the last two axes, either turned first."""
    left = x.swapaxes(-1, -2) if transpose_x else x
    right = y.swapaxes(-1, -2) if transpose_y else y
    return np.asarray(np.matmul(left, right))


def batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    epsilon: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
) -> Array:
    """Normalize x [1, C, ...] by stored statistics [C]."""
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    shift = (0.0 if beta is None else beta) - mean * scale
    shape = (-1, *(1,) * (x.ndim - 2))
    return np.asarray(x * scale.reshape(shape) + shift.reshape(shape))


def layer_norm(
    x: Array,
    axes: Array,
    epsilon: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
) -> Array:
    """Normalize x over `axes` by its own mean and variance."""
    over = tuple(int(axis) for axis in axes)
    centred = x - x.mean(axis=over, keepdims=True)
    answer = centred / np.sqrt((centred**2).mean(axis=over, keepdims=True) + epsilon)
    answer = answer if gamma is None else answer * gamma
    return np.asarray(answer if beta is None else answer + beta)


def _windows(padded: Array, spans: Array, strides: Array) -> Array:
    """Return all windows as [N, C, H', W', kh, kw], without a copy."""
    every = sliding_window_view(padded, tuple(int(span) for span in spans), axis=(2, 3))
    return every[:, :, :: int(strides[0]), :: int(strides[1])]


def _margins(
    x: Array, spans: Array, strides: Array, pad_type: str, pad: Array
) -> list[tuple[int, int]]:
    """Return (before, after) for height and width."""
    if pad_type == "valid":
        return [(0, 0), (0, 0)]
    if pad_type == "custom":
        return [(int(pad[0]), int(pad[1])), (int(pad[2]), int(pad[3]))]
    margins = []
    for size, span, stride in zip(x.shape[2:], spans.tolist(), strides.tolist(), strict=True):
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
        low, high = total // 2, total - total // 2
        margins.append((high, low) if pad_type == "same_lower" else (low, high))
    return margins


def _raised(
    x: Array, margins: list[tuple[int, int]], spans: Array, strides: Array, ceil_mode: bool
) -> list[tuple[int, int]]:
    """Lengthen the end so that a last, partial window is taken in, as ceil_mode asks."""
    if not ceil_mode:
        return margins
    raised = []
    for axis, (before, after) in enumerate(margins):
        span, stride = int(spans[axis]), int(strides[axis])
        size = x.shape[2 + axis] + before + after
        steps = -(-(size - span) // stride)
        if steps * stride >= x.shape[2 + axis] + before:
            steps -= 1  # a window must begin inside the image or its leading padding
        raised.append((before, after + max(steps * stride + span - size, 0)))
    return raised


def _padded(x: Array, margins: list[tuple[int, int]], value: float) -> Array:
    if not any(map(any, margins)):
        return x
    return np.pad(x, [(0, 0), (0, 0), *margins], constant_values=value)


OPERATIONS: Final[dict[str, Callable[..., Array]]] = {
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "layer_norm": layer_norm,
    "linear": linear,
    "matmul": matmul,
    "max_pool": max_pool,
}
"""Name in the ML program -> function; arguments go in under the program's own names."""
