"""Lite R-ASPP: one pooled gate over the coarse features, added to fine ones; made for phones.

Paper: Howard et al. 2019, section 6.4, https://arxiv.org/abs/1905.02244.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgepress.backbones.features import FeatureInfo
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"


class Params(Config):
    """Width of the head, and how fine the features are that it adds."""

    method: Literal["lraspp"]
    width: int = Field(ge=4, le=1024)
    """Channels between features and classes; 128 in the paper."""
    fine: int = Field(ge=1, le=32)
    """Pixels that one step of the fine features spans: the nearest map is taken; 8 in the paper."""
    coarse: int = Field(ge=1, le=64)
    """The same for the coarse ones; 16 in the paper."""


class Lraspp(nn.Module):
    """Maps to [N, outputs, H, W]."""

    float_layers = ("from_fine", "from_coarse")

    def __init__(self, info: tuple[FeatureInfo, ...], outputs: int, params: Params) -> None:
        """Build on the maps nearest to the two strides asked for."""
        super().__init__()
        self.fine = _nearest(info, params.fine)
        self.coarse = _nearest(info, params.coarse)
        channels, width = info[self.coarse].channels, params.width
        self.project = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, width, 1, bias=False), nn.Sigmoid()
        )
        self.from_fine = nn.Conv2d(info[self.fine].channels, outputs, 1)
        self.from_coarse = nn.Conv2d(width, outputs, 1)
        self.size: tuple[int, int] = (0, 0)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map a backbone's features to logits as large as its input."""
        fine, coarse = maps[self.fine], maps[self.coarse]
        gated = self.project(coarse) * self.gate(coarse)
        size = (fine.shape[2], fine.shape[3])
        gated = interpolate(gated, size, mode="bilinear", align_corners=False)
        logits = self.from_fine(fine) + self.from_coarse(gated)
        return interpolate(logits, self.size, mode="bilinear", align_corners=False)


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for one output [1, C, H, W]."""
    head = Lraspp(info, outputs[0].shape[1], params)
    head.size = (spec.height, spec.width)
    return head


def _nearest(info: tuple[FeatureInfo, ...], reduction: int) -> int:
    """Return the map whose stride is nearest; of maps alike the last, which has seen most."""
    far = [abs(each.reduction - reduction) for each in info]
    return max(index for index, each in enumerate(far) if each == min(far))
