"""Largest: how many images a step may have, found by trial on the device that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

COPIES = 4
"""Copies of the weights that are held during a trial, for what optimizer and average keep."""


def largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest power of two up to `most` that fits, from 2 on; 0 if not even two do."""
    found, size = 0, 2
    while size <= most and fits(size):
        found, size = size, 2 * size
    return found


@contextmanager
def trial(network: nn.Module) -> Iterator[None]:
    """Run a step within that leaves no trace: neither in weights nor in what is drawn later."""
    state = {name: each.clone() for name, each in network.state_dict().items()}
    held = [torch.empty_like(each) for _ in range(COPIES) for each in network.parameters()]
    on = next(network.parameters()).device
    try:
        with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
            yield
    finally:
        held.clear()
        network.zero_grad()
        network.load_state_dict(state)
        if on.type == "cuda":
            torch.cuda.empty_cache()
