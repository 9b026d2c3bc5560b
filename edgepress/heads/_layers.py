"""Layers that several heads are made of, and how fine a map they are asked for."""

from __future__ import annotations

import math

from torch import nn

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

_PRIOR = 0.01
"""Confidence of every place before training, as in https://arxiv.org/abs/1708.02002."""


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """Return a convolution, its normalisation and a ReLU."""
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return a 3 x 3 convolution of each channel alone, then one of all channels at a place."""
    return nn.Sequential(conv(inputs, inputs, 3, stride, inputs), conv(inputs, outputs))


def doubtful(last: nn.Conv2d) -> nn.Conv2d:
    """Set the bias of a layer that gives logits so that no place is sure of anything at first."""
    nn.init.constant_(last.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
    return last


def one_map(outputs: tuple[TensorSpec, ...], head: str) -> TensorSpec:
    """Return the only output, [1, C, h, w]; a task that asks for others is a UserError."""
    if len(outputs) == 1 and len(outputs[0].shape) == 4:
        return outputs[0]
    asked = ", ".join(f"{each.name} {each.shape}" for each in outputs)
    raise UserError(
        f"head {head}: gives one output of maps, the task asks for {asked}; choose another head"
    )


def stride_of(output: TensorSpec, spec: InputSpec) -> int:
    """Return the power of two that makes a map [1, C, h, w] of this height from the input."""
    return 1 << math.ceil(math.log2(spec.height / output.shape[2]) - 1e-9)


def refuse_coarser(stride: int, info: tuple[FeatureInfo, ...], head: str) -> None:
    """Refuse a stride coarser than the backbone's coarsest map, a UserError."""
    if stride > info[-1].reduction:
        raise UserError(
            f"head {head}: the task asks for a stride of {stride}, the backbone's coarsest map "
            f"has {info[-1].reduction}; choose a finer stride or another backbone"
        )


def strides_of(outputs: tuple[TensorSpec, ...], spec: InputSpec, head: str) -> tuple[int, ...]:
    """Return the stride of each output; one that is no map is a UserError."""
    for output in outputs:
        if output.layout != "NCHW":
            raise UserError(
                f"head {head}: gives maps, and the task asks for {output.name} {output.shape}; "
                "choose another head, or another coding of the task"
            )
    return tuple(stride_of(output, spec) for output in outputs)


def maps_of(info: tuple[FeatureInfo, ...], strides: list[int], head: str) -> list[int | None]:
    """Return which map each stride takes: the last of it, which has seen most.

    None where it is coarser than the backbone goes; one that is missing between is a UserError.
    """
    last = {each.reduction: index for index, each in enumerate(info)}
    missing = [s for s in strides if s not in last and (s < max(last) or s == min(strides))]
    if missing:
        raise UserError(
            f"head {head}: the backbone has no map of stride {missing[0]}, it has "
            f"{', '.join(map(str, sorted(last)))}; choose other strides or another backbone"
        )
    return [last.get(stride) for stride in strides]
