"""Balance of detection: the classes of the objects on a picture; the loss is the coding's."""

from __future__ import annotations

import numpy as np

from edgepress.records.tensors import Arrays
from edgepress.tasks.balance import Balance, Shown
from edgepress.tasks.detection.labels import Params


def balance(classes: tuple[str, ...], *, params: Params) -> Balance:  # noqa: ARG001
    """Return the classes of each picture; a crowd's is among them, what is ignored is not."""

    def shown(truth: Arrays) -> Shown:
        category = np.where(truth["ignore"], -1, truth["category"]).astype(np.int64)
        item, place = np.nonzero(category >= 0)
        pairs = np.unique(np.stack([item, category[item, place]], 1), axis=0)
        return Shown(pairs[:, 0], pairs[:, 1], len(category), len(classes))

    return Balance(shown)
