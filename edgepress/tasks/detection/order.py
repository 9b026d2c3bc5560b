"""Order of queries: an export's are put beside those of the float network before they are compared.

Queries are a set. A network takes them in the order of its own first scores, and two of nearly one
score change places with the last bit of a float, and all that come after with INT8: what stands
first in one then stands second in the other, and is the same.
"""

from __future__ import annotations

import numpy as np

from edgepress.records.tensors import Array, Arrays
from edgepress.tasks.detection.codings import queries
from edgepress.tasks.detection.labels import Params


def order(ours: Arrays, floats: Arrays, *, params: Params) -> Arrays:
    """Return raw outputs [n, ...] with each item's queries in the order of the other's.

    They are paired so that boxes and confidences are nearest, over all of them. Maps have an order
    of their own, and an item that is not finite has none: these come back as they are.
    """
    if not isinstance(params.coding, queries.Params):
        return ours
    names = (queries.BOXES, queries.SCORES)
    found = {name: values.copy() for name, values in ours.items()}
    for row in range(len(ours[queries.SCORES])):
        (mine, theirs) = (_places(*(each[name][row] for name in names)) for each in (ours, floats))
        if np.isfinite(mine).all() and np.isfinite(theirs).all():
            taken = _nearest(mine, theirs)
            for name in names:
                found[name][row] = ours[name][row][taken]
    return found


def _places(boxes: Array, logits: Array) -> Array:
    """Return what tells queries apart, [Q, 4 + classes], each 0 to 1 or near it."""
    return np.concatenate([boxes, 0.5 + 0.5 * np.tanh(logits / 2)], axis=1)


def _nearest(mine: Array, theirs: Array) -> Array:
    """Return for each of theirs which of mine is paired with it."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    _, taken = linear_sum_assignment(cdist(theirs, mine, "cityblock"))
    return np.asarray(taken)
