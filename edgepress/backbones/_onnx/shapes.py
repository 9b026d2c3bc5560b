"""Operators that move numbers and compute none: reshaping, cutting, joining, padding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgepress.backbones._onnx.graph import Value
from edgepress.backbones._onnx.node import Node, Operator, Reading

Places = tuple[int, ...]
_MODES: Final = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def _bound(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    return lambda **arguments: functools.partial(function, **arguments)


def _as_given(node: Node) -> Reading:
    """Read what only gives a tensor another shape."""
    return Reading(node.inputs[:1], {"shape": node.given()})


def _reshape(node: Node) -> Reading:
    before, after = node.shape(), node.given()
    flat = len(before) > 2 == len(after) and before[0] == after[0]
    return Reading(node.inputs[:1], {"shape": after, "flat": flat})


def _reshaped(x: Tensor, shape: tuple[int, ...], flat: bool) -> Tensor:
    # Flat is flat whatever slimming leaves of the channels.
    return torch.flatten(x, 1) if flat else x.reshape(shape)


def _transpose(node: Node) -> Reading:
    order = node.attributes.get("perm", range(len(node.shape()))[::-1])
    return Reading(node.inputs[:1], {"dims": tuple(order)})


def _concat(node: Node) -> Reading:
    return Reading(node.inputs, {"axis": int(node.attributes.get("axis", 1))})


def _joined(*tensors: Tensor, axis: int) -> Tensor:
    return torch.cat(tensors, axis)


def _split(node: Node) -> Reading:
    axis = int(node.attributes.get("axis", 0))
    sizes = tuple(node.given(at)[axis] for at in range(len(node.outputs)))
    return Reading(node.inputs[:1], {"sizes": sizes, "axis": axis})


def _parts(x: Tensor, sizes: list[int], axis: int) -> Tensor | tuple[Tensor, ...]:
    return x if len(sizes) == 1 else torch.split(x, sizes, axis)


def _slice(node: Node) -> Reading:
    starts, ends = node.option("starts", 1), node.option("ends", 2)
    axes = node.option("axes", 3, range(len(starts)))
    steps = node.option("steps", 4, [1] * len(starts))
    if min(steps) < 1:
        raise node.refused("goes backwards (a negative step)")
    cuts = [
        (axis % len(node.shape()), *slice(start, stop, by).indices(node.shape()[axis]))
        for axis, start, stop, by in zip(axes, starts, ends, steps, strict=True)
    ]
    names = ("axes", "begin", "end", "step")
    return Reading(node.inputs[:1], dict(zip(names, zip(*cuts, strict=True), strict=True)))


def _sliced(x: Tensor, axes: Places, begin: Places, end: Places, step: Places) -> Tensor:
    for axis, start, stop, by in zip(axes, begin, end, step, strict=True):
        x = x[(slice(None),) * axis + (slice(start, stop, by),)]
    return x


def _pad(node: Node) -> Reading:
    rank, mode = len(node.shape()), node.attributes.get("mode", "constant")
    pads = node.option("pads", 1)
    axes = node.option("axes", 3, range(rank))
    value = node.option("value", 2, 0.0)
    if mode not in _MODES:
        raise node.refused(f"pads by {mode}")
    before, after = [0] * rank, [0] * rank
    for at, axis in enumerate(axes):
        before[axis], after[axis] = int(pads[at]), int(pads[at + len(axes)])
    widths = [each for pair in zip(before[::-1], after[::-1], strict=True) for each in pair]
    while len(widths) > 2 and not any(widths[-2:]):
        del widths[-2:]
    value = float(np.asarray(value).reshape(-1)[0])
    return Reading(node.inputs[:1], {"pad": tuple(widths), "mode": _MODES[mode], "value": value})


def _padded(x: Tensor, pad: tuple[int, ...], mode: str, value: float) -> Tensor:
    return functional.pad(x, pad, mode, value if mode == "constant" else None)


def _tile(node: Node) -> Reading:
    return Reading(node.inputs[:1], {"dims": tuple(map(int, node.weight(1)))})


def _gather(node: Node) -> Reading:
    axis = int(node.attributes.get("axis", 0)) % len(node.shape())
    size, wanted = node.shape()[axis], node.weight(1)
    rows = tuple(int(each) % size for each in wanted.reshape(-1))
    held: dict[str, Value] = {"axis": axis, "rows": rows, "shape": node.given()}
    return Reading(node.inputs[:1], {**held, "one": wanted.ndim == 0})


def _gathered(x: Tensor, axis: int, rows: Places, shape: Places, one: bool) -> Tensor:
    if one:
        return x.select(axis, rows[0])
    return x[(slice(None),) * axis + (list(rows),)].reshape(shape)


def _blocks(node: Node) -> Reading:
    mode = str(node.attributes.get("mode", "DCR"))
    held: dict[str, Value] = {"block": int(node.attributes["blocksize"]), "mode": mode}
    return Reading(node.inputs[:1], {**held, "shape": node.shape()})


def _spread(x: Tensor, block: int, mode: str, shape: Places) -> Tensor:
    if mode == "CRD":
        return functional.pixel_shuffle(x, block)
    n, c, h, w = shape
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


def _stacked(x: Tensor, block: int, mode: str, shape: Places) -> Tensor:  # noqa: ARG001
    n, c, h, w = shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


def _broadcast(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x.expand(shape)


OPERATORS: Final[dict[str, Operator]] = {
    "Concat": Operator(_concat, _bound(_joined)),
    "DepthToSpace": Operator(_blocks, _bound(_spread)),
    "Expand": Operator(_as_given, _bound(_broadcast)),
    "Flatten": Operator(_reshape, _bound(_reshaped)),
    "Gather": Operator(_gather, _bound(_gathered)),
    "Pad": Operator(_pad, _bound(_padded)),
    "Reshape": Operator(_reshape, _bound(_reshaped)),
    "Slice": Operator(_slice, _bound(_sliced)),
    "SpaceToDepth": Operator(_blocks, _bound(_stacked)),
    "Split": Operator(_split, _bound(_parts)),
    "Squeeze": Operator(_reshape, _bound(_reshaped)),
    "Tile": Operator(_tile, _bound(torch.tile)),
    "Transpose": Operator(_transpose, _bound(torch.permute)),
    "Unsqueeze": Operator(_reshape, _bound(_reshaped)),
}
