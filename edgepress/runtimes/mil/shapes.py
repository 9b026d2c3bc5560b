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


def upsample_nearest(x: Array, scale_factor_height: Array, scale_factor_width: Array) -> Array:
    """Repeat every pixel of x [1, C, H, W]."""
    tall, wide = round(float(scale_factor_height)), round(float(scale_factor_width))
    return x.repeat(tall, axis=2).repeat(wide, axis=3)


def upsample_bilinear(
    x: Array,
    scale_factor_height: Array,
    scale_factor_width: Array,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Array:
    """Interpolate x [1, C, H, W] to scaled height and width; pixel centres lie at halves."""
    centred = not align_corners if half_pixel_centers is None else bool(half_pixel_centers)
    for axis, factor in ((2, scale_factor_height), (3, scale_factor_width)):
        size = int(np.floor(x.shape[axis] * float(factor) + 1e-4))
        x = _interpolated(x, axis, size, "aligned" if align_corners else "halves", centred)
    return x


def resize_bilinear(
    x: Array,
    target_size_height: Array,
    target_size_width: Array,
    sampling_mode: str = "DEFAULT",
) -> Array:
    """Interpolate x [1, C, H, W] to a height and width."""
    kind = "aligned" if sampling_mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS") else "halves"
    centred = sampling_mode == "UNALIGN_CORNERS"
    for axis, size in ((2, target_size_height), (3, target_size_width)):
        x = _interpolated(x, axis, int(size), kind, centred)
    return x


def crop(x: Array, crop_height: Array, crop_width: Array) -> Array:
    """Cut (before, after) off the height and the width of x [1, C, H, W]."""
    (top, bottom), (left, right) = crop_height.tolist(), crop_width.tolist()
    return np.asarray(x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right])


def _interpolated(x: Array, axis: int, size: int, kind: str, centred: bool) -> Array:
    old = x.shape[axis]
    steps = np.arange(size, dtype=np.float64)
    if kind == "aligned":
        at = steps * ((old - 1) / max(size - 1, 1))
    elif centred:
        at = np.clip((steps + 0.5) * (old / size) - 0.5, 0, old - 1)
    else:
        at = np.clip(steps * (old / size), 0, old - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, old - 1)
    shape = [1] * x.ndim
    shape[axis] = size
    share = (at - low).astype(np.float32).reshape(shape)
    return np.asarray(x.take(low, axis) * (1 - share) + x.take(high, axis) * share)


def reduce_argmax(
    x: Array, axis: Array, keep_dims: bool = False, output_dtype: str = "int32"
) -> Array:
    """Return where x is largest along `axis`."""
    found = np.argmax(x, axis=int(axis), keepdims=bool(keep_dims))
    return np.asarray(found).astype(output_dtype)


def _squeezed(x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, None if axes is None else tuple(int(axis) for axis in axes))


OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "cast": lambda x, dtype: x.astype(_CAST.get(dtype, dtype)),
    "concat": concat,
    "crop": crop,
    "resize_bilinear": resize_bilinear,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest,
    "reduce_argmax": reduce_argmax,
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
