"""Square root: classes come by the square roots of their numbers, halfway to balanced.

Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 4.1. An image of several classes
comes as often as its rarest is to; one of none as in a plain epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from edgepress.params import Config
from edgepress.tasks.balance import Shown
from edgepress.training.sampling import Floats, by_rarest, shares


class Params(Config):
    """Nothing to set."""

    method: Literal["square_root"]


def weigh(shown: Callable[[], Shown], *, params: Params) -> Floats:  # noqa: ARG001
    """Return how often each image is to be taken, [items]."""
    found = shown()
    there = max(1, int((found.counts > 0).sum()))
    return by_rarest((there * shares(found)) ** -0.5, found)
