"""Groups: which of a network's parameters learn alike.

Weights decay, biases and normalisation do not. With `layer_decay` the learning rate of a layer is
that share of the next one's, the head's being whole: what lies next to the input knows more before
a fine-tuning and changes less (Clark et al. 2020, https://arxiv.org/abs/2003.10555, section A.2).
"""

from __future__ import annotations

from torch import nn

from edgepress.backbones.features import Backbone, in_order
from edgepress.training.optimizers.optimizer import Group
from edgepress.training.recipe import Recipe


def grouped(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Return what learns in groups, by learning rate and weight decay."""
    scales = _scales(network, recipe.layer_decay)
    found: dict[tuple[float, bool], dict[str, nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            key = (scales.get(name, 1.0), parameter.ndim > 1)
            found.setdefault(key, {})[name] = parameter
    return [
        Group(named, recipe.learning_rate * scale, recipe.weight_decay if decays else 0.0)
        for (scale, decays), named in found.items()
    ]


def _scales(network: nn.Module, layer_decay: float | None) -> dict[str, float]:
    """Return the factor of each learning rate by parameter; what is not named has 1."""
    if layer_decay is None:
        return {}
    where, body = next(
        ((n, m) for n, m in network.named_modules() if isinstance(m, Backbone)), ("", None)
    )
    depths = in_order(network) if body is None else body.depths()
    # The head is one layer beyond the backbone's last; a network that is none is its own head.
    last = max(depths.values(), default=0) + (body is not None)
    before = f"{where}." if where else ""
    return {f"{before}{name}": layer_decay ** (last - depth) for name, depth in depths.items()}
