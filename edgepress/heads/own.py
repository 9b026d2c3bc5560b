"""No head of ours: the model ends in the task's outputs itself (backbone `module`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "outputs"


class Params(Config):
    """Nothing to choose."""

    method: Literal["own"]


class Own(nn.Module):
    """The model's outputs as they are, a mapping of them in the task's order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the names of the task's outputs."""
        super().__init__()
        self.names = names

    def forward(
        self, found: Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
    ) -> Tensor | tuple[Tensor, ...]:
        """Return a Tensor, or a tuple of as many as the task has outputs."""
        if isinstance(found, Mapping):
            found = tuple(found[name] for name in self.names)
        if not isinstance(found, tuple | list):  # A Tensor, or what torch.fx traces in its place.
            return found
        if len(found) != len(self.names):
            asked = ", ".join(self.names)
            raise ValueError(f"the model gives {len(found)} outputs, the task asks for {asked}")
        return found[0] if len(found) == 1 else tuple(found)


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,  # noqa: ARG001
    *,
    params: Params,  # noqa: ARG001
) -> nn.Module:
    """Return what passes the model's outputs on; a backbone that gives features is refused."""
    if info:
        raise UserError(
            "own is for a model that gives the task's outputs itself, backbone: {method: module}; "
            "this backbone gives features, choose a head for them"
        )
    return Own(tuple(output.name for output in outputs))
