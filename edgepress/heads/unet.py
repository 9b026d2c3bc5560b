"""A light U-Net: from the coarsest features back to those asked for, each joined by a thin skip.

Paper: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; here with separable convolutions
of one width throughout, which suits small backbones and INT8 kernels.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgepress.backbones.features import FeatureInfo
from edgepress.heads._layers import conv, doubtful, one_map, refuse_coarser, stride_of
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"


class Params(Config):
    """Width of the decoder."""

    method: Literal["unet"]
    width: int = Field(ge=4, le=1024)
    """Channels of every step of the way back."""


class Step(nn.Module):
    """Join features twice as fine with what came from below."""

    def __init__(self, skip: int, width: int) -> None:
        """Build for `skip` channels of the finer features."""
        super().__init__()
        self.skip = conv(skip, width, 1)
        self.depthwise = conv(2 * width, 2 * width, 3, groups=2 * width)
        self.pointwise = conv(2 * width, width, 1)

    def forward(self, below: Tensor, finer: Tensor) -> Tensor:
        """Map [N, width, h, w] and finer features to [N, width, H, W]."""
        size = (finer.shape[2], finer.shape[3])
        raised = interpolate(below, size, mode="bilinear", align_corners=False)
        joined = torch.cat([raised, self.skip(finer)], 1)
        return self.pointwise(self.depthwise(joined))  # type: ignore[no-any-return]


class Unet(nn.Module):
    """Maps to [N, outputs, h, w]."""

    float_layers = ("last",)

    def __init__(
        self, channels: tuple[int, ...], outputs: int, size: tuple[int, int], width: int
    ) -> None:
        """Build a step for every map but the coarsest; `channels` are those of the last maps."""
        super().__init__()
        self.taken = len(channels)
        self.bottom = conv(channels[-1], width, 1)
        self.steps = nn.ModuleList(Step(skip, width) for skip in reversed(channels[:-1]))
        self.last = nn.Conv2d(width, outputs, 1)
        self.size = size

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map a backbone's features to logits."""
        maps = maps[-self.taken :]
        x = self.bottom(maps[-1])
        for step, finer in zip(self.steps, reversed(maps[:-1]), strict=True):
            x = step(x, finer)
        return interpolate(self.last(x), self.size, mode="bilinear", align_corners=False)


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for one output [1, C, h, w]; maps finer than that are not looked at."""
    output = one_map(outputs, params.method)
    stride = stride_of(output, spec)
    refuse_coarser(stride, info, params.method)
    channels = [each.channels for each in info if each.reduction >= stride]
    height, width = output.shape[2:]
    head = Unet(tuple(channels), output.shape[1], (height, width), params.width)
    if output.name == "heatmaps":
        doubtful(head.last)
    return head
