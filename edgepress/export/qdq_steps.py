"""Quantize and dequantize steps in a torch graph, around one tensor at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.ao.quantization.fx import _decomposed  # noqa: F401 (registers the operations)

from edgepress.export.batch_norms import hold, value

_steps: Final[Any] = torch.ops.quantized_decomposed
_to: Final[Any] = torch.ops.aten.to.dtype


@dataclass(frozen=True)
class Affine:
    """real = scale * (integer - zero point), integers signed and stored in 8 bits."""

    bits: int
    scale: Tensor
    """float32, [1], or [slices] along `axis`."""
    zero_point: Tensor
    """int32, as many."""
    axis: int | None

    @property
    def ends(self) -> tuple[int, int]:
        """Smallest and largest integer."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1


def around_activation(module: fx.GraphModule, node: fx.Node, by: Affine) -> None:
    """Let everything that takes `node` take its quantized value instead.

    Each has a dequantize step of its own: XNNPACK takes one that is shared for a part of both.
    """
    graph = module.graph
    users = list(node.users)
    constants = _held(module, node.name, by)
    with graph.inserting_after(node):
        quantize = graph.call_function(_operation("quantize", by), (node, *_given(by, constants)))
    for user in users:
        with graph.inserting_before(user):
            real = graph.call_function(
                _operation("dequantize", by), (quantize, *_given(by, constants))
            )
        user.replace_input_with(node, real)


def around_weight(module: fx.GraphModule, node: fx.Node, by: Affine, *, integers: bool) -> None:
    """Put a weight's quantized value in its place: its integers, or steps that make them."""
    graph = module.graph
    users = list(node.users)
    name = str(node.target)
    constants = _held(module, name, by)
    arguments = _given(by, constants)
    weight = value(module, node)
    if integers:
        with torch.no_grad():
            eager = (by.scale, by.zero_point) if constants else arguments[:2]
            held = _operation("quantize", by)(weight, *eager, *arguments[2:])
        quantized = hold(module, f"{name}_int{by.bits}", held)
    else:
        with graph.inserting_before(_first(users)):
            quantized = graph.call_function(_operation("quantize", by), (node, *arguments))
    with graph.inserting_before(_first(users)):
        real = graph.call_function(_operation("dequantize", by), (quantized, *arguments))
    _hand_over(node, users, real)


def half_activation(module: fx.GraphModule, node: fx.Node) -> None:
    """Let everything that takes `node` take it through float16."""
    users = list(node.users)
    with module.graph.inserting_after(node):
        half = module.graph.call_function(_to, (node, torch.float16))
    with module.graph.inserting_after(half):
        real = module.graph.call_function(_to, (half, torch.float32))
    _hand_over(node, users, real)


def half_weight(module: fx.GraphModule, node: fx.Node) -> None:
    """Round a weight to float16; its elements stay float32."""
    users = list(node.users)
    rounded = value(module, node).half().float()
    _hand_over(node, users, hold(module, f"{node.target}_half", rounded))


def _operation(kind: str, by: Affine) -> Any:
    return getattr(_steps, f"{kind}_per_{'tensor' if by.axis is None else 'channel'}").default


def _held(module: fx.GraphModule, name: str, by: Affine) -> tuple[fx.Node, ...]:
    """Return nodes of scales and zero points where there are several of each."""
    if by.axis is None:
        return ()
    scale = hold(module, f"{name}_scale", by.scale)
    return scale, hold(module, f"{name}_zero_point", by.zero_point)


def _given(by: Affine, constants: tuple[fx.Node, ...]) -> tuple[Any, ...]:
    if by.axis is None:
        return (float(by.scale), int(by.zero_point), *by.ends, torch.int8)
    return (*constants, by.axis, *by.ends, torch.int8)


def _first(users: list[fx.Node]) -> fx.Node:
    return min(users)


def _hand_over(node: fx.Node, users: list[fx.Node], real: fx.Node) -> None:
    for user in users:
        user.replace_input_with(node, real)
