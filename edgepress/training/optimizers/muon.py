"""Muon: the momentum of every weight matrix made orthogonal; AdamW for biases and normalisation.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, by torch's own function, scaled to
the size of AdamW's steps (Liu et al. 2025, https://arxiv.org/abs/2502.16982), so that one learning
rate serves both. A convolution's weight is the matrix [outputs, all the rest].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim._muon import DEFAULT_A, DEFAULT_B, DEFAULT_C, DEFAULT_NS_STEPS, EPS, muon

from edgepress.params import Config
from edgepress.training.optimizers import adamw
from edgepress.training.optimizers._functional import Functional, Moved
from edgepress.training.optimizers.optimizer import Group, Optimizer


class Params(Config):
    """How long gradients are remembered."""

    method: Literal["muon"]
    momentum: float = Field(ge=0, lt=1)
    """What remains of a matrix's mean gradient at each step; the authors' is 0.95."""
    betas: tuple[adamw.Beta, adamw.Beta]
    """Of AdamW, for what is no matrix."""


def build(groups: Sequence[Group], *, params: Params) -> Optimizer:
    """Return the optimizer of these parameters."""

    def move(moved: Moved) -> None:
        _orthogonal(_some(moved, matrices=True), params.momentum)
        adamw.move(_some(moved, matrices=False), params.betas, 1e-8)

    return Functional(groups, move)


def _orthogonal(moved: Moved, momentum: float) -> None:
    # Flat copies: of a convolution that lies channels last no flat view can be had.
    matrices = [each.flatten(1).clone() for each in moved.parameters]
    muon(
        matrices,
        [each.flatten(1) for each in moved.gradients],
        moved.kept("momentum", _flat),
        lr=moved.rate,
        weight_decay=moved.weight_decay,
        momentum=momentum,
        nesterov=True,
        ns_coefficients=(DEFAULT_A, DEFAULT_B, DEFAULT_C),
        ns_steps=DEFAULT_NS_STEPS,
        eps=EPS,
        adjust_lr_fn="match_rms_adamw",
        has_complex=False,
    )
    for parameter, matrix in zip(moved.parameters, matrices, strict=True):
        parameter.copy_(matrix.view(parameter.shape))


def _flat(parameter: Tensor) -> Tensor:
    return parameter.new_zeros(parameter.shape[0], parameter[0].numel())


def _some(moved: Moved, matrices: bool) -> Moved:
    """Return those of the parameters that are matrices, or those that are not."""
    rows = [i for i, each in enumerate(moved.parameters) if (each.ndim > 1) is matrices]
    return replace(
        moved,
        names=[moved.names[i] for i in rows],
        parameters=[moved.parameters[i] for i in rows],
        gradients=[moved.gradients[i] for i in rows],
    )
