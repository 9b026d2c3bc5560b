"""Reductions and operations that move, join or cut arrays of the ML program in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_CAST: Final = {"fp16": "float16", "fp32": "float32"}
_PAD_MODES: Final = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def reduced(by: Callable[..., Any]) -> Callable[..., Array]:
    """Make the operation that reduces an array over `axes`, or over all of them, with `by`."""

    def reduce(x: Array, keep_dims: bool, axes: Array | None = None) -> Array:
        over = None if axes is None else tuple(int(axis) for axis in axes)
        return np.asarray(by(x, axis=over, keepdims=keep_dims))

    return reduce


def concat(values: tuple[Array, ...], axis: Array, interleave: bool = False) -> Array:
    """Join arrays along `axis`, one after the other or, interleaved, one slice of each in turn."""
    if not interleave:
        return np.concatenate(values, axis=int(axis))
    place = int(axis) % values[0].ndim
    shape = list(values[0].shape)
    shape[place] *= len(values)
    return np.stack(values, axis=place + 1).reshape(shape)


def split(
    x: Array, axis: Array, num_splits: Array | None = None, split_sizes: Array | None = None
) -> tuple[Array, ...]:
    """Cut an array along `axis` into equal parts or parts of the given sizes."""
    if split_sizes is None:
        return tuple(np.split(x, int(num_splits or 1), axis=int(axis)))
    return tuple(np.split(x, np.cumsum(split_sizes)[:-1].tolist(), axis=int(axis)))


def slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    """Cut x[begin:end:stride] per axis; a mask opens that end, or takes the one element away."""
    steps = np.ones(x.ndim, int) if stride is None else stride
    open_begin, open_end, single = (
        np.zeros(x.ndim, bool) if mask is None else mask
        for mask in (begin_mask, end_mask, squeeze_mask)
    )
    cuts = tuple(
        int(begin[axis])
        if single[axis]
        else slice(
            None if open_begin[axis] else int(begin[axis]),
            None if open_end[axis] else int(end[axis]),
            int(steps[axis]),
        )
        for axis in range(x.ndim)
    )
    return np.asarray(x[cuts])


def pad(x: Array, pad: Array, mode: str, constant_val: Array) -> Array:
    """Widen the last axes of x; `pad` is (before, after) of each of them in turn."""
    pairs = [(int(low), int(high)) for low, high in pad.reshape(-1, 2)]
    margins = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    options: dict[str, Any] = {"constant_values": constant_val} if mode == "constant" else {}
    return np.pad(x, margins, mode=_PAD_MODES[mode], **options)  # type: ignore[call-overload,no-any-return]


def _squeezed(x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(int(axis) for axis in axes))


OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "cast": lambda x, dtype: x.astype(_CAST.get(dtype, dtype)),
    "concat": concat,
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(int(axis) for axis in axes)),
    "identity": lambda x: x,
    "pad": pad,
    "reduce_max": reduced(np.max),
    "reduce_mean": reduced(np.mean),
    "reduce_min": reduced(np.min),
    "reduce_sum": reduced(np.sum),
    "reshape": lambda x, shape: x.reshape([int(size) for size in shape]),
    "slice_by_index": slice_by_index,
    "split": split,
    "squeeze": _squeezed,
    "transpose": lambda x, perm: x.transpose([int(axis) for axis in perm]),
}
"""Name in the ML program -> function; arguments go in under the program's own names."""
