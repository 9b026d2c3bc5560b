"""Replayable surgery: changes of a network, recorded as data and applied to a fresh copy."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.records.bundle import Drop, Fold, Insert, Resize, Step

_SIZES = (
    "in_channels",
    "out_channels",
    "groups",
    "num_features",
    "in_features",
    "out_features",
    "normalized_shape",
    "num_channels",
    "num_groups",
    "num_heads",
    "head_dim",
)
_OWN_LAYER = re.compile(r"(edgepress\.[a-z0-9_.]+):([A-Za-z0-9_]+)")
_Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def difference(fresh: nn.Module, changed: nn.Module) -> tuple[Resize, ...]:
    """Return the steps that turn `fresh`'s shapes into `changed`'s; both have the same modules."""
    originals = dict(fresh.named_modules())
    steps = []
    for name, module in changed.named_modules():
        original = originals[name]
        attributes = {
            key: size
            for key in _SIZES
            if (size := _size(module, key)) is not None and size != _size(original, key)
        }
        before = {key: tuple(tensor.shape) for key, tensor in _own_tensors(original).items()}
        after = {key: tuple(tensor.shape) for key, tensor in _own_tensors(module).items()}
        shapes = {key: shape for key, shape in after.items() if before[key] != shape}
        if attributes or shapes:
            steps.append(Resize(module=name, attributes=attributes, shapes=shapes))
    return tuple(steps)


def replay(network: nn.Module, steps: tuple[Step, ...]) -> None:
    """Apply recorded steps in place; new tensors are zero until weights are loaded."""
    for step in steps:
        match step:
            case Resize():
                _resize(_module(network, step.module), step)
            case Insert():
                _set(network, step.module, _layer(step))
            case Drop():
                _module(network, step.module)
                _set(network, step.module, nn.Identity())
            case Fold():
                _fold(network, step)


def fold(network: nn.Module) -> tuple[Fold, ...]:
    """Fold every batch norm that follows a convolution or linear layer in its container, in place.

    Only norms directly behind their layer among one parent's children count; the network must
    run them one after the other, as `nn.Sequential` and the blocks of published networks do.
    """
    steps = []
    for prefix, parent in network.named_modules():
        children = list(parent.named_children())
        for (before, layer), (after, norm) in zip(children, children[1:], strict=False):
            if isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(norm, _Norm):
                names = (f"{prefix}.{name}".lstrip(".") for name in (before, after))
                step = Fold(into=next(names), module=next(names))
                _fold(network, step)
                steps.append(step)
    return tuple(steps)


def _resize(module: nn.Module, step: Resize) -> None:
    for key, size in step.attributes.items():
        if key not in _SIZES or _size(module, key) is None:
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


def _fold(network: nn.Module, step: Fold) -> None:
    layer, norm = _module(network, step.into), _module(network, step.module)
    if not isinstance(layer, nn.Conv2d | nn.Linear) or not isinstance(norm, _Norm):
        raise UserError(f"surgery: {step.module} cannot be folded into {step.into}")
    variance, mean = norm.running_var, norm.running_mean
    if variance is None or mean is None:
        raise UserError(f"surgery: {step.module} has no statistics to fold")
    with torch.no_grad():
        scale = torch.rsqrt(variance + norm.eps) * (1.0 if norm.weight is None else norm.weight)
        before = torch.zeros_like(mean) if layer.bias is None else layer.bias
        shift = (before - mean) * scale + (0.0 if norm.bias is None else norm.bias)
        layer.weight.mul_(scale.reshape(-1, *(1,) * (layer.weight.ndim - 1)))
        layer.bias = nn.Parameter(shift)
    _set(network, step.module, nn.Identity())


def _layer(step: Insert) -> nn.Module:
    """Build an inserted layer: a class of torch.nn, or one of our own named by file and class."""
    own = _OWN_LAYER.fullmatch(step.layer)
    found: Any = None
    if own is not None:
        found = getattr(importlib.import_module(own[1]), own[2], None)
    elif step.layer.isidentifier():
        found = getattr(nn, step.layer, None)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise UserError(f"surgery: {step.module}: {step.layer!r} is no layer; wrong version?")
    try:
        made: nn.Module = found(**step.arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"surgery: {step.module}: {step.layer}: {error}") from None
    return made


def _module(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        raise UserError(f"surgery: the network has no module {name!r}; wrong backbone?") from None


def _set(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    if not last:
        raise UserError("surgery: the network itself cannot be replaced")
    setattr(_module(network, parent), last, module)


def _size(module: nn.Module, key: str) -> int | tuple[int, ...] | None:
    """Return a size that can be set: a number or several; a read-only property is none."""
    if isinstance(inspect.getattr_static(type(module), key, None), property):
        return None
    value = getattr(module, key, None)
    if isinstance(value, tuple) and all(type(each) is int for each in value):
        return value
    return value if type(value) is int else None


def _own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    own = {**module._parameters, **module._buffers}
    return {key: tensor for key, tensor in own.items() if tensor is not None}
