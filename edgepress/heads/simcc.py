"""Coordinates as classes: for each point a row of bins across and one down, from a coarse map.

Paper: SimCC, Li et al. 2022, https://arxiv.org/abs/2107.03332. A map for each point, and linear
layers, the same for all points, from its places to the bins; there is no decoder.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"


class Params(Config):
    """How the points' maps are made."""

    method: Literal["simcc"]
    kernel: int = Field(ge=1, le=15)
    """Side of the convolution that makes them: 1 in the paper, 7 in RTMPose
    (https://arxiv.org/abs/2303.07399)."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("kernel must be odd: 1, 3, 5, 7 ...")
        return kernel


class Simcc(nn.Module):
    """The coarsest map of a backbone to rows of bins [N, points, bins], one for each output."""

    def __init__(self, inputs: int, points: int, sides: tuple[int, ...], kernel: int) -> None:
        """Build for `inputs` channels; `sides` are the places of a map, then each output's bins."""
        super().__init__()
        places, *bins = sides
        self.points = nn.Conv2d(inputs, points, kernel, padding=kernel // 2)
        self.rows = nn.ModuleList(nn.Linear(places, each) for each in bins)
        self.float_layers = tuple(f"rows.{index}" for index in range(len(bins)))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """Map a backbone's features to logits of bins."""
        places = self.points(maps[-1]).flatten(2)
        return tuple(row(places) for row in self.rows)


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for outputs [1, K, bins] of any number."""
    wrong = [output.name for output in outputs if len(output.shape) != 3]
    if wrong:
        raise UserError(
            f"head simcc: gives rows of bins, the task asks for {wrong[0]} with "
            f"{len(outputs[0].shape)} axes; choose another head"
        )
    coarse = info[-1].reduction
    places = -(-spec.height // coarse) * -(-spec.width // coarse)
    sides = (places, *(output.shape[2] for output in outputs))
    return Simcc(info[-1].channels, outputs[0].shape[1], sides, params.kernel)
