"""Operators that make one number of several: sums, means, softmax, pooling."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from edgepress.backbones._onnx.node import Node, Operator, Reading
from edgepress.backbones._onnx.windows import Window, window


def _reduction(function: Callable[..., Tensor]) -> Operator:
    """Return an operator over axes, an attribute once and an input since."""

    def read(node: Node) -> Reading:
        axes = node.option("axes", 1)
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            raise node.refused("has no axes and so does nothing")
        rank = len(node.shape())
        dims = tuple(axis % rank for axis in axes or range(rank))
        keep = bool(node.attributes.get("keepdims", 1))
        return Reading(node.inputs[:1], {"dim": dims, "keepdim": keep})

    return Operator(read, lambda **arguments: functools.partial(function, **arguments))


def _product(x: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    for axis in sorted(dim, reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def _squares(x: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    return torch.sum(x * x, dim, keepdim)


def _softmax(node: Node) -> Reading:
    rank = len(node.shape())
    axis = int(node.attributes.get("axis", -1 if node.opset >= 13 else 1)) % rank
    return Reading(node.inputs[:1], {"axis": axis, "flat": node.opset < 13 and axis < rank - 1})


def _over(
    function: Callable[..., Tensor],
) -> Callable[..., Callable[[Tensor], Tensor]]:
    """Return a maker of a softmax: over one axis, or as before opset 13 over all that follow."""

    def run(x: Tensor, axis: int, flat: bool) -> Tensor:
        if flat:
            return function(x.flatten(axis), dim=-1).reshape(x.shape)
        return function(x, dim=axis)

    return lambda **arguments: functools.partial(run, **arguments)


def _pool(node: Node) -> Reading:
    if len(node.outputs) > 1:
        raise node.refused("gives the places of its largest values too")
    if len(node.shape()) != 4:
        raise node.refused(f"pools a tensor of {len(node.shape())} axes; maps of 4 are known here")
    found = window(node, node.attributes["kernel_shape"])
    counted = bool(node.attributes.get("count_include_pad", 0))
    return Reading(node.inputs[:1], {**found.arguments, "counted": counted})


def _largest(x: Tensor, counted: bool, **given: Any) -> Tensor:  # noqa: ARG001
    by = Window(**given)
    if not by.even or any(2 * pad > size for pad, size in zip(by.before, by.size, strict=True)):
        x, by = functional.pad(x, by.around, value=-torch.inf), by.without_padding
    return functional.max_pool2d(x, by.size, by.stride, by.before, by.dilation, by.ceil)


def _mean_of_window(x: Tensor, counted: bool, **given: Any) -> Tensor:
    by = Window(**given)
    if by.even and all(2 * pad <= size for pad, size in zip(by.before, by.size, strict=True)):
        return functional.avg_pool2d(x, by.size, by.stride, by.before, by.ceil, counted)
    pool = functools.partial(
        functional.avg_pool2d, kernel_size=by.size, stride=by.stride, ceil_mode=by.ceil
    )
    whole = pool(functional.pad(x, by.around))
    return whole if counted else whole / pool(functional.pad(torch.ones_like(x), by.around))


def _whole(node: Node) -> Reading:
    if len(node.shape()) != 4:
        raise node.refused(f"pools a tensor of {len(node.shape())} axes; maps of 4 are known here")
    return Reading(node.inputs[:1])


def _mean_of_map(x: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(x, 1)


def _largest_of_map(x: Tensor) -> Tensor:
    return torch.amax(x, (2, 3), keepdim=True)


OPERATORS: Final[dict[str, Operator]] = {
    "AveragePool": Operator(_pool, lambda **held: functools.partial(_mean_of_window, **held)),
    "GlobalAveragePool": Operator(_whole, lambda: _mean_of_map),
    "GlobalMaxPool": Operator(_whole, lambda: _largest_of_map),
    "LogSoftmax": Operator(_softmax, _over(functional.log_softmax)),
    "MaxPool": Operator(_pool, lambda **held: functools.partial(_largest, **held)),
    "ReduceL2": _reduction(torch.linalg.vector_norm),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceMin": _reduction(torch.amin),
    "ReduceProd": _reduction(_product),
    "ReduceSum": _reduction(torch.sum),
    "ReduceSumSquare": _reduction(_squares),
    "Softmax": Operator(_softmax, _over(functional.softmax)),
}
