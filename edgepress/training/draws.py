"""Draws: random numbers of a step, and of a key within it, that hang on nothing else.

torch's generator on the CPU takes the lower 32 bits of a seed and drops the rest, so that what
seeds it is mixed into those.
"""

from __future__ import annotations

import zlib

import torch

_SPREAD = 2_654_435_761
"""Odd, and 2^32 over the golden ratio: neighbouring seeds are far apart, 0 stays 0."""


def of_step(seed: int, step: int) -> torch.Generator:
    """Return a generator for one step of a run."""
    return torch.Generator().manual_seed((seed * _SPREAD + step) % 2**32)


def of_key(draws: torch.Generator, key: str) -> torch.Generator:
    """Return a generator for one key: it takes nothing from `draws`, whose seed it shares."""
    return torch.Generator().manual_seed(zlib.crc32(f"{draws.initial_seed()} {key}".encode()))
