"""One linear layer on pooled features: the classifier that published backbones have."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from edgepress.backbones.features import FeatureInfo
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "pooled"


class Params(Config):
    """Nothing to choose."""

    method: Literal["linear"]


class Linear(nn.Module):
    """Pooled features [N, D] to [N, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Build for `inputs` features."""
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, D] to [N, outputs]."""
        return self.fc(features)  # type: ignore[no-any-return]


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,  # noqa: ARG001
    *,
    params: Params,  # noqa: ARG001
) -> nn.Module:
    """Return the head for one output [1, C]."""
    return Linear(info[-1].channels, outputs[0].shape[1])
