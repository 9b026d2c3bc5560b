"""Policies: which operations are done to each picture, and how strongly.

TrivialAugment: Müller and Hutter 2021, https://arxiv.org/abs/2103.10158, the wide space.
RandAugment: Cubuk et al. 2020, https://arxiv.org/abs/1909.13719. AugMix: Hendrycks et al. 2020,
https://arxiv.org/abs/1912.02781, without the loss between a picture's versions. Reaches are
torchvision's. Values change first, in the order drawn; moves come after, as one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgepress.training.affine import Affine
from edgepress.training.changes import AugMix, Changes
from edgepress.training.draws import of_key
from edgepress.training.operations import OPERATIONS, Reach, changed, matrices

_TRIVIAL = Reach(shear=0.99, translate=1 / 7, rotate=135, enhance=0.99, bits=(8, 2))
"""Of 224 pixels a seventh is 32."""
_RAND = Reach(shear=0.3, translate=150 / 331, rotate=30, enhance=0.9, bits=(8, 4))
_MIX = Reach(shear=0.3, translate=1 / 3, rotate=30, enhance=0.9, bits=(4, 0))
_STEPS = 30
"""The strongest of RandAugment's magnitudes, which TrivialAugment draws from too."""
_DEEPEST = 3
"""Operations of AugMix's longest chain."""


@dataclass(frozen=True)
class Plan:
    """Operations for N pictures, D each, one after another."""

    kinds: Tensor
    """int64 [D, N], places in OPERATIONS."""
    amounts: Tensor
    """float32 [D, N], -1 to 1."""
    reach: Reach

    def values(self, batch: Tensor) -> Tensor:
        """Return uint8 [N, C, H, W] with their values changed, not yet moved."""
        for kinds, amounts in zip(self.kinds, self.amounts, strict=True):
            batch = changed(batch, kinds, amounts, self.reach)
        return batch

    def matrix(self, size: tuple[int, int]) -> Tensor:
        """Return how pictures of (height, width) are moved, float64 [N, 3, 3]."""
        whole = torch.eye(3, dtype=torch.float64).expand(self.kinds.shape[1], 3, 3)
        for kinds, amounts in zip(self.kinds, self.amounts, strict=True):
            whole = matrices(kinds, amounts, size, self.reach) @ whole
        return whole


def planned(changes: Changes, count: int, draws: torch.Generator) -> Plan | None:
    """Draw what TrivialAugment or RandAugment does to each picture; None where none is named."""
    if changes.trivial_augment:
        own = of_key(draws, "trivial_augment")
        kinds = torch.randint(len(OPERATIONS), (1, count), generator=own)
        strength = torch.randint(_STEPS + 1, (1, count), generator=own) / _STEPS
        chosen = torch.rand(1, count, generator=own) < changes.trivial_augment
        return Plan(kinds * chosen, _signed(strength, own), _TRIVIAL)
    if changes.rand_augment is not None:
        own, asked = of_key(draws, "rand_augment"), changes.rand_augment
        shape = (asked.operations, count)
        kinds = torch.randint(len(OPERATIONS), shape, generator=own)
        return Plan(kinds, _signed(torch.full(shape, asked.magnitude / _STEPS), own), _RAND)
    return None


def augmixed(batch: Tensor, mix: AugMix, draws: torch.Generator) -> Tensor:
    """Blend each picture with versions of itself: uint8 [N, C, H, W]."""
    own = of_key(draws, "augmix")
    count, size = len(batch), (batch.shape[2], batch.shape[3])
    numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=own)))
    shares = torch.from_numpy(numbers.dirichlet([mix.alpha] * mix.width, count).T)
    changes = torch.from_numpy(numbers.beta(mix.alpha, mix.alpha, count))
    weights = (shares * changes).float().to(batch.device)
    total = batch * (1 - weights.sum(0))[:, None, None, None]
    for weight in weights:
        plan = _chain(mix, count, own)
        moved = Affine(plan.matrix(size), None, *size).pictures(plan.values(batch))
        total += moved * weight[:, None, None, None]
    return total.round_().clamp_(0, 255).to(batch.dtype)


def _chain(mix: AugMix, count: int, draws: torch.Generator) -> Plan:
    """Draw one to three operations for each picture, at severities below the one asked for."""
    shape = (_DEEPEST, count)
    kinds = torch.randint(1, len(OPERATIONS), shape, generator=draws)
    depth = torch.randint(1, _DEEPEST + 1, (count,), generator=draws)
    strength = torch.randint(mix.severity, shape, generator=draws) / 9
    done = torch.arange(_DEEPEST)[:, None] < depth
    return Plan(kinds * done, _signed(strength, draws), _MIX)


def _signed(strength: Tensor, draws: torch.Generator) -> Tensor:
    heads = torch.rand(strength.shape, generator=draws) < 0.5
    return torch.where(heads, strength, -strength)
