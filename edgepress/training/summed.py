"""Summed: what the passes of all workers leave in a network, as if one process had made them.

Gradients and the objective's scalars are sums over the images of a step. Batch normalisation's
running statistics move with every pass: each worker's moves are put one behind the other, in the
order in which one process with `accumulate` makes these passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgepress.training.ranks import Ranks, Share

Scalars = dict[str, Tensor]


@dataclass(frozen=True)
class _Moved:
    """A buffer, how it was before the step, and how its moves are put together.

    What is sent is weight * (now - decay * before); what becomes of it is keep * before + the sum.
    """

    buffer: Tensor
    before: Tensor
    decay: Tensor | float = 1.0
    weight: Tensor | float = 1.0
    keep: Tensor | float = 1.0

    def sent(self) -> Tensor:
        return self.weight * (self.buffer - self.decay * self.before)

    def take(self, total: Tensor) -> None:
        self.buffer.copy_(self.keep * self.before + total.view_as(self.buffer))


class Summed:
    """One network's gradients and buffers, summed over workers once a step."""

    def __init__(self, network: nn.Module, ranks: Ranks, share: Share) -> None:
        """Sum what `share` says that this worker does of every step."""
        self._network, self._ranks, self._share = network, ranks, share
        self._learning = [each for each in network.parameters() if each.requires_grad]
        self._before: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Note how the buffers are before a step's passes."""
        if self._ranks.count == 1:
            return
        buffers = self._network.named_buffers()
        self._before = {name: each.clone() for name, each in buffers if each.dtype != torch.bool}

    @torch.no_grad()
    def finish(self, means: Scalars) -> Scalars:
        """Put together what the passes left; return the sums of the workers' scalars."""
        if self._ranks.count == 1:
            return means
        moved, names = list(self._moved()), sorted(means)
        # A weight that no worker's passes reached keeps no gradient, and so is not decayed.
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._learning]
        reached = torch.tensor([float(p.grad is not None) for p in self._learning])
        sent = [*grads, reached, *(each.sent() for each in moved), *(means[n] for n in names)]
        kind = torch.float64 if any(g.dtype == torch.float64 for g in grads) else torch.float32
        on = grads[0].device if grads else reached.device
        flat = torch.cat([each.detach().reshape(-1).to(on, kind) for each in sent])
        totals = torch.split(self._ranks.sum(flat), [each.numel() for each in sent])
        count = len(grads)
        was_reached = totals[count].tolist()
        for parameter, total, found in zip(self._learning, totals, was_reached, strict=False):
            if found:
                parameter.grad = torch.empty_like(parameter).copy_(total.view_as(parameter))
        for each, total in zip(moved, totals[count + 1 :], strict=False):
            each.take(total)
        # Copies: a view would keep every step's gradients for as long as its loss is kept.
        scalars = zip(names, totals[-len(names) :], strict=True)
        return {name: total[0].clone() for name, total in scalars}

    def _moved(self) -> Iterator[_Moved]:
        """Yield each buffer; those that no rule is known for become the mean over all passes."""
        norms = dict(self._network.named_modules())
        mine = len(self._share.passes)
        for name, buffer in self._network.named_buffers():
            before = self._before.get(name)
            if before is None:
                continue
            above, _, last = name.rpartition(".")
            norm = norms[above]
            counted = isinstance(norm, _BatchNorm) and norm.momentum is not None
            if not buffer.is_floating_point():
                yield _Moved(buffer, before)
            elif counted and last.startswith("running_"):
                calls = norm.num_batches_tracked - self._before[f"{above}.num_batches_tracked"]
                held, each = 1 - float(norm.momentum), calls.float() / mine
                later, everyone = each * self._share.later, each * self._share.total
                yield _Moved(buffer, before, held**calls, held**later, held**everyone)
            else:
                yield _Moved(buffer, before, weight=mine / self._share.total)
