"""Constant: the rate rises to its peak and stays there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.params import Config


class Params(Config):
    """How long the rise is."""

    method: Literal["constant"]
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""


def rate(done: float, *, params: Params) -> float:
    """Return the share of the peak at the end of a step; `done` is the share of steps, 0 to 1."""
    return done / params.warmup if done < params.warmup else 1.0
