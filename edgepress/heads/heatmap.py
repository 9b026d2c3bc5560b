"""A map for each point: from the coarsest features up to the stride that the task asks for.

Paper: Simple Baselines, Xiao et al. 2018, https://arxiv.org/abs/1804.06208; its transposed
convolutions are here an interpolation and a separable convolution, which suit INT8 kernels.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgepress.backbones.features import FeatureInfo
from edgepress.heads._layers import conv, doubtful, one_map, refuse_coarser, separable, stride_of
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"


class Params(Config):
    """Width of the decoder."""

    method: Literal["heatmap"]
    width: int = Field(ge=4, le=1024)
    """Channels of every step; 256 in the paper."""


class Heatmap(nn.Module):
    """The coarsest map of a backbone to [N, outputs, h, w]."""

    float_layers = ("last",)

    def __init__(
        self, inputs: int, outputs: int, sizes: tuple[tuple[int, int], ...], width: int
    ) -> None:
        """Build for `inputs` channels and a step to each of `sizes`, the last that of the output.

        With no sizes the maps are as coarse as the features.
        """
        super().__init__()
        self.first = conv(inputs, width)
        self.sizes = sizes
        self.steps = nn.ModuleList(separable(width, width) for _ in sizes or ((0, 0),))
        self.last = doubtful(nn.Conv2d(width, outputs, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map a backbone's features to logits."""
        x = self.first(maps[-1])
        for index, step in enumerate(self.steps):
            if self.sizes:
                x = interpolate(x, self.sizes[index], mode="bilinear", align_corners=False)
            x = step(x)
        return self.last(x)  # type: ignore[no-any-return]


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for one output [1, C, h, w]; its stride follows from its size."""
    output = one_map(outputs, params.method)
    height, width = output.shape[2:]
    stride = stride_of(output, spec)
    coarse = info[-1].reduction
    refuse_coarser(stride, info, params.method)
    sizes = []
    while coarse > stride:
        coarse = max(coarse // 2, stride)
        ratio = coarse // stride
        sizes.append((-(-height // ratio), -(-width // ratio)))
    return Heatmap(info[-1].channels, output.shape[1], tuple(sizes), params.width)
