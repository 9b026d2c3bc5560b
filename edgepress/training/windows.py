"""Windows: an epoch's order in which what is stored together comes near together.

Row groups are drawn anew for each epoch and taken into windows of as many bytes as may be held;
within a window, images keep the order that was drawn for them. What fits in one window is in the
order of an epoch over any other set.
"""

from __future__ import annotations

import numpy as np

from edgepress.data.row_groups import HELD, Stored
from edgepress.training.examples import Rows


def windowed(order: Rows, stored: Stored | None, seed: list[int]) -> Rows:
    """Return the rows of `order`, window after window; a pure function of its arguments."""
    if stored is None or int(stored.sizes.sum()) <= HELD:
        return order
    window = np.empty(len(stored.sizes), np.int64)
    number = held = 0
    # A stream of its own: the rows were drawn by [seed, epoch].
    for group in np.random.default_rng([*seed, 1]).permutation(len(stored.sizes)).tolist():
        held += int(stored.sizes[group])
        if held > HELD and held > stored.sizes[group]:
            number, held = number + 1, int(stored.sizes[group])
        window[group] = number
    return order[np.argsort(window[stored.group[order]], kind="stable")]
