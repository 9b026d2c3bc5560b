"""Freezing: what of a backbone learns nothing for a first share of the steps, then everything.

A fresh head's first steps are large and would spoil what the backbone knows. What is frozen has its
normalisation by running statistics, as in use, and neither moves nor decays.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import nn

from edgepress.backbones.features import Backbone
from edgepress.errors import UserError
from edgepress.params import Config


class Freeze(Config):
    """How long, and how much of the backbone."""

    until: float = Field(gt=0, le=1)
    """Share of the steps in which it learns nothing; 1 trains the head alone."""
    layers: int | None = Field(default=None, ge=1)
    """How many layers, from the input on, as layer_decay has them; null is the whole backbone."""


class Freezing:
    """One network's frozen part."""

    def __init__(self, network: nn.Module, freeze: Freeze | None) -> None:
        """Find it; a plan that leaves nothing to learn, or names more than there is: UserError."""
        self._until = 0.0 if freeze is None else freeze.until
        names = set() if freeze is None else _names(network, freeze.layers)
        learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._parameters = [p for name, p in learning.items() if name in names]
        if freeze is not None and len(self._parameters) == len(learning):
            raise UserError("training: freeze: nothing would be left to learn; name fewer layers")
        self._modules = list(_whole(network, "", names))

    def step(self, done: float) -> None:
        """Freeze or thaw for the next step, `done` being the share of the steps before it."""
        frozen = done < self._until
        for parameter in self._parameters:
            parameter.requires_grad_(not frozen)
        for module in self._modules:
            module.train(not frozen)

    def end(self) -> None:
        """Leave every parameter able to learn again."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)


def _names(network: nn.Module, layers: int | None) -> set[str]:
    """Return the names of the parameters that are frozen."""
    found = [(n, m) for n, m in network.named_modules() if isinstance(m, Backbone)]
    if not found:
        raise UserError("training: freeze: this network has no backbone apart from its head")
    where, body = found[0]
    before = f"{where}." if where else ""
    depths = body.depths()
    count = 1 + max(depths.values(), default=-1)
    if layers is not None and layers > count:
        raise UserError(
            f"training: freeze.layers: {layers} asked for, the backbone has {count}; name fewer"
        )
    return {
        f"{before}{name}"
        for name, _ in body.named_parameters()
        if layers is None or depths.get(name, count) < layers
    }


def _whole(module: nn.Module, before: str, names: set[str]) -> Iterator[nn.Module]:
    """Yield the outermost modules all of whose parameters are among `names`."""
    own = [f"{before}{name}" for name, _ in module.named_parameters()]
    if own and names.issuperset(own):
        yield module
    elif not names.isdisjoint(own):
        for name, child in module.named_children():
            yield from _whole(child, f"{before}{name}.", names)
