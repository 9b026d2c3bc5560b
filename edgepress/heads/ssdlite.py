"""SSDLite: separable predictors on a backbone's maps and on coarser ones of its own.

Paper: Sandler et al. 2018, section 6.2, https://arxiv.org/abs/1801.04381; the blocks, their
normalisation and their first weights are torchvision's (BSD-3-Clause).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection.ssdlite import SSDLiteClassificationHead
from torchvision.ops.misc import Conv2dNormActivation

from edgepress.backbones.features import FeatureInfo
from edgepress.heads._layers import doubtful, maps_of, strides_of
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"
_Norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)


class Params(Config):
    """Width of the maps that the head adds."""

    method: Literal["ssdlite"]
    width: int = Field(ge=8, le=1024)
    """Channels of the first map coarser than the backbone's, 512 in torchvision; those after it
    have half as many."""


class Ssdlite(nn.Module):
    """Maps of a backbone to a map for each of the outputs, in their order."""

    def __init__(
        self,
        info: tuple[FeatureInfo, ...],
        outputs: tuple[TensorSpec, ...],
        strides: tuple[int, ...],
        params: Params,
    ) -> None:
        """Build a predictor for each output, and a coarser map for each stride that is missing."""
        super().__init__()
        levels = sorted(set(strides))
        self.taken = maps_of(info, levels, "ssdlite")
        self.extra = nn.ModuleList()
        channels: list[int] = []
        for taken in self.taken:
            if taken is None:
                width = params.width // 2 if len(self.extra) else params.width
                self.extra.append(_coarser(channels[-1], width))
            else:
                width = info[taken].channels
            channels.append(width)
        self.level = [levels.index(stride) for stride in strides]
        self.predictors = nn.ModuleList(
            _predictor(channels[level], output)
            for level, output in zip(self.level, outputs, strict=True)
        )
        self.float_layers = tuple(f"predictors.{index}.1" for index in range(len(outputs)))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """Map a backbone's features to the outputs."""
        found: list[Tensor] = []
        extra = iter(self.extra)
        for taken in self.taken:
            found.append(next(extra)(found[-1]) if taken is None else maps[taken])
        return tuple(
            predictor(found[level])
            for level, predictor in zip(self.level, self.predictors, strict=True)
        )


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for maps [1, C, h, w] of any number; their strides follow from their size."""
    strides = strides_of(outputs, spec, "ssdlite")
    return Ssdlite(info, outputs, strides, params)


def _predictor(channels: int, output: TensorSpec) -> nn.Module:
    """Return torchvision's block: a 3 x 3 convolution of each channel alone, then one of all."""
    made = SSDLiteClassificationHead([channels], [1], output.shape[1], _Norm)
    block: nn.Sequential = made.module_list[0]
    if output.name.startswith("scores"):
        doubtful(block[1])  # type: ignore[arg-type]  # A softmax is the same with it.
    return block


def _coarser(channels: int, width: int) -> nn.Module:
    """Return a map of half the size, by a bottleneck half as wide."""
    inner = width // 2
    layer = partial(Conv2dNormActivation, norm_layer=_Norm, activation_layer=nn.ReLU6)
    block = nn.Sequential(
        layer(channels, inner, kernel_size=1),
        layer(inner, inner, kernel_size=3, stride=2, groups=inner),
        layer(inner, width, kernel_size=1),
    )
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.03)
    return block
