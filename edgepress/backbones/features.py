"""Features: what a backbone gives, in timm's terms: maps with strides, or one pooled vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec

Features = Literal["pooled", "maps", "outputs"]
"""pooled is one vector per item, [N, D], by the network's own pooling; maps are [N, C, H, W],
finest first, as timm's `features_only` gives them; outputs are what the task asks of a network."""


@dataclass(frozen=True)
class FeatureInfo:
    """One feature: its channels, and how many pixels of the input one step of it spans."""

    channels: int
    reduction: int
    """1 for a map as large as the input; 0 for pooled features."""


@dataclass(frozen=True)
class Origin:
    """The user's file that a network was made of, structure and weights."""

    lineage: dict[str, str]
    """sha256 of its parts."""
    told: str
    """What became of it, in one line."""


class Backbone(nn.Module):
    """A network without a head: maps images to a Tensor (pooled) or a list of Tensors (maps)."""

    info: tuple[FeatureInfo, ...]
    """One per feature, in order; none where it gives the task's outputs."""
    held: Mapping[str, Any] = {}
    """What a Bundle says of its structure beside its entry of params.yaml."""

    original: Any = None
    """The user's file that it was made of just now; most are made of none."""

    def origin(self, images: Tensor) -> Origin:
        """Hold it against its `original` on images [N, C, H, W]; other answers are a UserError."""
        raise NotImplementedError

    def depths(self) -> dict[str, int]:
        """Return how deep every parameter lies, by name: 0 next to the input."""
        return in_order(self)


def in_order(network: nn.Module) -> dict[str, int]:
    """Return how deep every parameter lies where a network's parts were made in their order.

    A depth is a part with weights: a child, or each child of a Sequential or ModuleList. What has
    only vectors, as normalisation, belongs to the one before it.
    """
    found, depth = dict.fromkeys(dict(network.named_parameters(recurse=False)), 0), -1
    for name, part in _parts(network, ""):
        named = dict(part.named_parameters())
        depth += any(each.ndim > 1 for each in named.values())
        found.update((f"{name}.{inner}", max(depth, 0)) for inner in named)
    return found


def _parts(network: nn.Module, before: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _parts(child, f"{before}{name}.")
        else:
            yield f"{before}{name}", child


def measured(network: Backbone, spec: InputSpec, name: str, sizes: str = "") -> Backbone:
    """Set `info` by one empty image; a network that cannot take `spec` is a one-line UserError.

    `name` is the network in the user's words, `sizes` says what it takes instead.
    """
    network.info = _info(tried(network, spec, name, sizes), spec, name)
    return network


def tried(network: Backbone, spec: InputSpec, name: str, sizes: str = "") -> object:
    """Return what a network gives for one empty image, or refuse it as `measured` does."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return network(torch.zeros(spec.shape))
    except Exception as error:  # Whatever a foreign network throws at a size is its refusal of it.
        raise UserError(
            f"{name} cannot take an input of {spec.height} x {spec.width} with "
            f"{spec.channels} channel(s): {str(error) or type(error).__name__}{sizes}"
        ) from None
    finally:
        network.train(training)


def _info(found: object, spec: InputSpec, name: str) -> tuple[FeatureInfo, ...]:
    maps = found if isinstance(found, list | tuple) else [found]
    shapes = [tuple(each.shape) for each in maps if isinstance(each, torch.Tensor)]
    if len(shapes) == len(maps) == 1 and len(shapes[0]) == 2:
        return (FeatureInfo(shapes[0][1], 0),)
    if shapes and len(shapes) == len(maps) and all(len(shape) == 4 for shape in shapes):
        return tuple(FeatureInfo(shape[1], round(spec.height / shape[2])) for shape in shapes)
    raise UserError(
        f"{name} gives features of shape {shapes}; expected one [N, D] or maps "
        "[N, C, H, W]; choose another network"
    )
