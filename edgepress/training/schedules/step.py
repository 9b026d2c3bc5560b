"""Step: the rate stays, and falls by a factor at given shares of the run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from edgepress.params import Config

At = Annotated[float, Field(gt=0, lt=1)]


class Params(Config):
    """How long the rise is, and when and how far the rate falls."""

    method: Literal["step"]
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""
    at: tuple[At, ...] = Field(min_length=1)
    """Shares of the steps after which the rate falls, for example [0.6, 0.9]."""
    factor: float = Field(gt=0, lt=1)
    """What the rate is multiplied by each time."""

    @field_validator("at")
    @classmethod
    def _rising(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if list(at) != sorted(set(at)):
            raise ValueError("expected shares that rise")
        return at


def rate(done: float, *, params: Params) -> float:
    """Return the share of the peak at the end of a step; `done` is the share of steps, 0 to 1."""
    if done < params.warmup:
        return done / params.warmup
    return float(params.factor ** sum(done > share for share in params.at))
