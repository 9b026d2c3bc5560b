"""Sampling: the rows of an epoch, as many as there are images, some more often than others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.tasks.balance import Shown
from edgepress.training.examples import Rows

Floats = npt.NDArray[np.float64]


def drawn(often: Floats | None, count: int, draws: np.random.Generator) -> Rows:
    """Return the rows of one epoch in a random order, [count]; None takes each of `count` once.

    Otherwise each is taken in proportion to `often` [count], rounded up or down at random: never
    more than one off what is due to it.
    """
    order = draws.permutation(count)
    if often is None:
        return order
    # Marks one apart on a line on which each image has the length due to it; those of one length
    # lie together, in random order, so that a class has its share in every epoch.
    order = order[np.argsort(often[order], kind="stable")]
    ends = np.cumsum(often[order])
    marks = (np.arange(count) + draws.random()) * (ends[-1] / count)
    taken = np.searchsorted(ends, marks, side="right").clip(max=count - 1)
    return draws.permutation(order[taken])


def by_rarest(factors: Floats, shown: Shown) -> Floats:
    """Return how often each item is to be taken, [items]: as its rarest class; without one, 1."""
    often = np.zeros(shown.items)
    np.maximum.at(often, shown.item, factors[shown.category])
    return np.where(often > 0, often, 1.0)


def shares(shown: Shown) -> Floats:
    """Return the share of items that show each class, [classes]; of a class on none it is 1."""
    return np.where(shown.counts > 0, shown.counts / max(1, shown.items), 1.0)
