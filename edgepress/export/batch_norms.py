"""Batch norms of a torch graph become part of the convolutions and linear layers before them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, cast

import torch
from torch import Tensor, fx, nn

_aten: Final[Any] = torch.ops.aten
_LAYERS: Final = (
    _aten.conv1d.default,
    _aten.conv2d.default,
    _aten.conv2d.padding,
    _aten.conv3d.default,
    _aten.linear.default,
)


def fold(module: fx.GraphModule, kept: Collection[fx.Node]) -> dict[fx.Node, fx.Node]:
    """Fold in place, but into no layer that is in `kept` or whose weight is.

    Returns each node that is gone, norm or weight -> the node that stands for it now.
    """
    gone: dict[fx.Node, fx.Node] = {}
    for norm in module.graph.find_nodes(op="call_function", target=_aten.batch_norm.default):
        layer: Any = norm.args[0]
        if norm.args[5] or not _can_take(layer) or {layer, layer.args[1]} & set(kept):
            continue
        weight = layer.args[1]
        _join(module, layer, norm)
        norm.replace_all_uses_with(layer)
        module.graph.erase_node(norm)
        gone |= {norm: layer, weight: layer.args[1]}
    return gone


def value(module: fx.GraphModule, node: fx.Node) -> Tensor:
    """Return what a `get_attr` node holds, detached."""
    owner, _, name = str(node.target).rpartition(".")
    held: Tensor = getattr(module.get_submodule(owner), name)
    return held.detach()


def hold(module: fx.GraphModule, name: str, tensor: Tensor) -> fx.Node:
    """Register a new tensor and return its `get_attr` node, at the graph's beginning."""
    name = name.replace(".", "_")
    module.register_buffer(name, tensor)
    first = next(iter(module.graph.nodes))
    with module.graph.inserting_before(first):
        node = module.graph.get_attr(name)
    node.meta["val"] = tensor
    return node


def _can_take(layer: Any) -> bool:
    """Say whether a node is a layer whose weight is its own and whose output only the norm sees."""
    if not isinstance(layer, fx.Node) or layer.target not in _LAYERS or len(layer.users) > 1:
        return False
    weight: Any = layer.args[1]
    flat = layer.target is not _aten.linear.default or layer.meta["val"].ndim == 2
    return weight.op == "get_attr" and len(weight.users) == 1 and flat


def _join(module: fx.GraphModule, layer: fx.Node, norm: fx.Node) -> None:
    weight: Any = layer.args[1]
    bias: Any = layer.args[2] if len(layer.args) > 2 else None
    held = [None if node is None else value(module, node) for node in cast(Any, norm.args[1:5])]
    gain, shift, mean, variance = cast(Any, held)
    folded, offset = nn.utils.fuse_conv_bn_weights(
        value(module, weight),
        None if bias is None else value(module, bias),
        mean,
        variance,
        cast(float, norm.args[7]),
        gain,
        shift,
    )
    name = str(weight.target)
    layer.args = (
        layer.args[0],
        hold(module, f"{name}_folded", folded.detach()),
        hold(module, f"{name}_offset", offset.detach()),
        *layer.args[3:],
    )
