"""A decoupled anchor-free head: scores and boxes by branches of their own, on a feature pyramid.

Papers: YOLOX, Ge et al. 2021, https://arxiv.org/abs/2107.08430, for the head; Lin et al. 2017,
https://arxiv.org/abs/1612.03144, for the pyramid. Here with separable convolutions throughout.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgepress.backbones.features import FeatureInfo
from edgepress.heads._layers import conv, doubtful, maps_of, separable, strides_of
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"


class Params(Config):
    """Width and depth of the branches."""

    method: Literal["decoupled"]
    width: int = Field(ge=4, le=1024)
    """Channels of the pyramid and of the branches."""
    depth: int = Field(ge=1, le=8)
    """Separable convolutions of each branch before its last."""


class Decoupled(nn.Module):
    """Maps of a backbone to a map for each of the outputs, in their order."""

    def __init__(
        self,
        info: tuple[FeatureInfo, ...],
        outputs: tuple[TensorSpec, ...],
        strides: tuple[int, ...],
        params: Params,
    ) -> None:
        """Build a level of the pyramid for each stride, and a branch for each output."""
        super().__init__()
        width = params.width
        levels = sorted(set(strides))
        self.taken = maps_of(info, levels, "decoupled")
        self.lateral = nn.ModuleList()
        for taken in self.taken:
            if taken is None:  # coarser than the backbone goes
                self.lateral.append(separable(width, width, 2))
            else:
                self.lateral.append(conv(info[taken].channels, width))
        self.smooth = nn.ModuleList(separable(width, width) for _ in levels)
        self.level = [levels.index(stride) for stride in strides]
        self.branches = nn.ModuleList(_branch(output, params) for output in outputs)
        self.float_layers = tuple(f"branches.{i}.{params.depth}" for i in range(len(outputs)))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """Map a backbone's features to the outputs."""
        pyramid: list[Tensor] = []
        for taken, lateral in zip(self.taken, self.lateral, strict=True):
            pyramid.append(lateral(pyramid[-1] if taken is None else maps[taken]))
        for level in range(len(pyramid) - 2, -1, -1):
            finer = pyramid[level]
            size = (finer.shape[2], finer.shape[3])
            pyramid[level] = finer + interpolate(pyramid[level + 1], size, mode="nearest")
        smoothed = [smooth(each) for smooth, each in zip(self.smooth, pyramid, strict=True)]
        return tuple(
            branch(smoothed[level]) for level, branch in zip(self.level, self.branches, strict=True)
        )


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for maps [1, C, h, w] of any number; their strides follow from their size."""
    strides = strides_of(outputs, spec, "decoupled")
    return Decoupled(info, outputs, strides, params)


def _branch(output: TensorSpec, params: Params) -> nn.Sequential:
    last = nn.Conv2d(params.width, output.shape[1], 1)
    if output.name.startswith("scores"):
        doubtful(last)
    steps = [separable(params.width, params.width) for _ in range(params.depth)]
    return nn.Sequential(*steps, last)
