"""Residual network for 32 px images, depth 6n + 2, after He et al. 2015, section 4.2.

Paper: https://arxiv.org/abs/1512.03385. Shortcuts that change shape are 1x1 projections (option
B): they export and prune everywhere. Depth 20, width 16, RGB, 10 classes has 272,474 parameters
and 40.8 M multiply-accumulates.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn

from edgepress.backbones.features import Backbone, Features, measured
from edgepress.params import Config
from edgepress.records.inputs import InputSpec


class Params(Config):
    """Size of the network."""

    method: Literal["resnet_cifar"]
    depth: int = Field(ge=8, le=218)
    """Weighted layers, 6n + 2: 8, 14, 20, 26, 32, 44, 56, 110."""
    width: int = Field(ge=4, le=512)
    """Channels of the first of three stages; the others have twice and four times as many."""

    @field_validator("depth")
    @classmethod
    def _six_n_plus_two(cls, depth: int) -> int:
        if (depth - 2) % 6:
            raise ValueError("depth must be 6n + 2, for example 8, 14, 20, 26 or 32")
        return depth


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """Build the block; stride 2 halves height and width."""
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.shortcut(x))  # type: ignore[no-any-return]


class ResNetCifar(Backbone):
    """Stem and three stages; the maps of all three, or the last one pooled."""

    def __init__(self, params: Params, channels: int, features: Features) -> None:
        """Build and initialise (He normal)."""
        super().__init__()
        width = params.width
        self.pooled = features == "pooled"
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        blocks = (params.depth - 2) // 6
        self.stage1 = _stage(width, width, blocks, stride=1)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map images [N, C, H, W] to [N, 4 * width], or to maps of strides 1, 2 and 4."""
        fine = self.stage1(self.relu(self.bn1(self.conv1(x))))
        middle = self.stage2(fine)
        coarse = self.stage3(middle)
        return self.pool(coarse).flatten(1) if self.pooled else [fine, middle, coarse]


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride)
    return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def build(spec: InputSpec, features: Features, *, params: Params) -> Backbone:
    """Return a freshly initialised network."""
    network = ResNetCifar(params, spec.channels, features)
    return measured(network, spec, f"resnet_cifar of depth {params.depth}")
