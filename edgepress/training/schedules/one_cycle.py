"""One cycle: a straight rise to the peak, then half a cosine down to zero.

After Smith and Topin 2017, https://arxiv.org/abs/1708.07120, with a cosine for the way down and the
momentum left alone.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from edgepress.params import Config


class Params(Config):
    """How long the rise is."""

    method: Literal["one_cycle"]
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""


def rate(done: float, *, params: Params) -> float:
    """Return the share of the peak at the end of a step; `done` is the share of steps, 0 to 1."""
    if done < params.warmup:
        return done / params.warmup
    return 0.5 * (1 + math.cos(math.pi * (done - params.warmup) / (1 - params.warmup)))
