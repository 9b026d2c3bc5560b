"""Lion: steps of one size, by the sign of a mean gradient; half of AdamW's memory.

Paper: Chen et al. 2023, https://arxiv.org/abs/2302.06675. Learning rates are 3 to 10 times smaller
than AdamW's, weight decay as many times larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from edgepress.params import Config
from edgepress.training.optimizers._functional import Functional, Moved
from edgepress.training.optimizers.optimizer import Group, Optimizer

Beta = Annotated[float, Field(ge=0, lt=1)]


class Params(Config):
    """How long gradients are remembered."""

    method: Literal["lion"]
    betas: tuple[Beta, Beta]
    """What the mean gradient counts in a step's sign, and what remains of it; the paper's are
    [0.9, 0.99]."""


def build(groups: Sequence[Group], *, params: Params) -> Optimizer:
    """Return the optimizer of these parameters."""
    now, kept = params.betas

    def move(moved: Moved) -> None:
        means = moved.kept("mean")
        for parameter, gradient, mean in zip(moved.parameters, moved.gradients, means, strict=True):
            way = gradient.lerp(mean, now).sign_()
            parameter.mul_(1 - moved.rate * moved.weight_decay).add_(way, alpha=-moved.rate)
            mean.lerp_(gradient, 1 - kept)

    return Functional(groups, move)
