"""Replayable surgery: shape changes of a network, recorded as data and applied to a fresh copy."""

from __future__ import annotations

import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.records.bundle import Resize

_SIZES = (
    "in_channels",
    "out_channels",
    "groups",
    "num_features",
    "in_features",
    "out_features",
    "num_channels",
    "num_groups",
    "num_heads",
    "head_dim",
)


def difference(fresh: nn.Module, changed: nn.Module) -> tuple[Resize, ...]:
    """Return the steps that turn `fresh`'s shapes into `changed`'s; both have the same modules."""
    originals = dict(fresh.named_modules())
    steps = []
    for name, module in changed.named_modules():
        original = originals[name]
        attributes = {
            key: int(getattr(module, key))
            for key in _SIZES
            if isinstance(getattr(module, key, None), int)
            and getattr(module, key) != getattr(original, key)
        }
        before = {key: tuple(tensor.shape) for key, tensor in _own_tensors(original).items()}
        after = {key: tuple(tensor.shape) for key, tensor in _own_tensors(module).items()}
        shapes = {key: shape for key, shape in after.items() if before[key] != shape}
        if attributes or shapes:
            steps.append(Resize(module=name, attributes=attributes, shapes=shapes))
    return tuple(steps)


def replay(network: nn.Module, steps: tuple[Resize, ...]) -> None:
    """Apply recorded steps in place; the new tensors are zero until weights are loaded."""
    modules = dict(network.named_modules())
    for step in steps:
        if step.module not in modules:
            raise UserError(f"surgery: the network has no module {step.module!r}; wrong backbone?")
        module = modules[step.module]
        for key, size in step.attributes.items():
            if key not in _SIZES or not isinstance(getattr(module, key, None), int):
                raise UserError(f"surgery: {step.module}.{key} is not a size of this module")
            setattr(module, key, size)
        tensors = _own_tensors(module)
        for key, shape in step.shapes.items():
            if key not in tensors:
                raise UserError(f"surgery: {step.module} has no tensor {key!r}")
            blank = torch.zeros(shape, dtype=tensors[key].dtype)
            if key in module._parameters:
                module._parameters[key] = nn.Parameter(blank)
            else:
                module._buffers[key] = blank


def _own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    own = {**module._parameters, **module._buffers}
    return {key: tensor for key, tensor in own.items() if tensor is not None}
