"""Recomputing: of each block its input is kept alone, and the rest made again for its gradients.

Gradient checkpointing, Chen et al. 2016, https://arxiv.org/abs/1604.06174. The second pass leaves
running statistics as the first left them and draws what the first drew, so that weights are the
same to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn

from edgepress.errors import UserError


@contextmanager
def recomputing(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Have the blocks of a network computed twice within; a network without any: UserError."""
    found = blocks(network) if wanted else []
    if wanted and not found:
        raise UserError(
            "training: checkpointing: this network has no blocks one after another; set false"
        )
    for block in found:
        block.forward = partial(_twice, block, block.forward)
    try:
        yield
    finally:
        for block in found:
            del block.forward


def blocks(network: nn.Module) -> list[nn.Module]:
    """Return the innermost parts of a network's lists that have several matrices each."""
    found: list[nn.Module] = []
    for child in network.children():
        if inner := blocks(child):
            found += inner
        elif isinstance(network, nn.Sequential | nn.ModuleList) and _matrices(child) > 1:
            found.append(child)
    return found


def _matrices(module: nn.Module) -> int:
    return sum(each.ndim > 1 for each in module.parameters())


def _twice(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    from torch.utils.checkpoint import checkpoint

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _untouched(block)

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def _untouched(block: nn.Module) -> Iterator[None]:
    """Have the running statistics of a block afterwards as they were before."""
    before = [(each, each.clone()) for each in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for each, was in before:
                each.copy_(was)
