"""SGD: momentum, Nesterov's or plain, by torch's own kernels; decay is an L2 penalty.

Papers: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor
from torch.optim.sgd import sgd

from edgepress.params import Config
from edgepress.training.optimizers._functional import Functional, Moved
from edgepress.training.optimizers.optimizer import Group, Optimizer


class Params(Config):
    """How long gradients are remembered."""

    method: Literal["sgd"]
    momentum: float = Field(ge=0, lt=1)
    """What remains of the last step's momentum."""
    nesterov: bool
    """Look where the momentum leads before the step."""

    @model_validator(mode="after")
    def _moving(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


def build(groups: Sequence[Group], *, params: Params) -> Optimizer:
    """Return the optimizer of these parameters."""

    def move(moved: Moved) -> None:
        names = [f"momentum/{name}" for name in moved.names]
        # The first momentum is the gradient itself, which torch copies where it finds None.
        momentum: list[Tensor | None] = [moved.tensors.get(name) for name in names]
        sgd(
            moved.parameters,
            moved.gradients,
            momentum,
            weight_decay=moved.weight_decay,
            momentum=params.momentum,
            lr=moved.rate,
            dampening=0.0,
            nesterov=params.nesterov,
            maximize=False,
        )
        made = zip(names, momentum, strict=True)
        moved.tensors.update((name, each) for name, each in made if each is not None)

    return Functional(groups, move)
