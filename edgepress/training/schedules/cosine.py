"""Cosine with warm-up: half a cosine down to a floor, once or again and again from the peak.

Paper: SGDR, Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983, its cycles equally long.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from edgepress.params import Config


class Params(Config):
    """How long the rise is, how deep and how often the rate falls."""

    method: Literal["cosine"]
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""
    floor: float = Field(ge=0, le=1)
    """Share of the peak at which every fall ends."""
    cycles: int = Field(ge=1, le=1000)
    """Falls from the peak after the warm-up; 1 is a single one."""


def rate(done: float, *, params: Params) -> float:
    """Return the share of the peak at the end of a step; `done` is the share of steps, 0 to 1."""
    if done < params.warmup:
        return done / params.warmup
    turns = params.cycles * (done - params.warmup) / (1 - params.warmup)
    # The end of a cycle is its floor, not the peak of the next.
    fallen = turns - max(0, math.ceil(turns) - 1)
    return params.floor + (1 - params.floor) * 0.5 * (1 + math.cos(math.pi * fallen))
