"""AdamW: steps scaled by each weight's own gradients, decay apart from them, by torch's kernels.

Paper: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch.optim.adamw import adamw

from edgepress.params import Config
from edgepress.training.optimizers._functional import Functional, Moved, counter
from edgepress.training.optimizers.optimizer import Group, Optimizer

Beta = Annotated[float, Field(ge=0, lt=1)]


class Params(Config):
    """How long gradients and their squares are remembered."""

    method: Literal["adamw"]
    betas: tuple[Beta, Beta]
    """What remains at each step of the mean gradient and of the mean squared one; the paper's are
    [0.9, 0.999]."""
    eps: float = Field(gt=0, le=1)
    """Added to the root of the mean square; the paper's is 1e-8."""


def build(groups: Sequence[Group], *, params: Params) -> Optimizer:
    """Return the optimizer of these parameters."""
    return Functional(groups, lambda moved: move(moved, params.betas, params.eps))


def move(moved: Moved, betas: tuple[float, float], eps: float) -> None:
    """Move some parameters by AdamW."""
    adamw(
        moved.parameters,
        moved.gradients,
        moved.kept("mean"),
        moved.kept("square"),
        [],
        moved.kept("steps", counter),
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=moved.rate,
        weight_decay=moved.weight_decay,
        eps=eps,
        maximize=False,
    )
