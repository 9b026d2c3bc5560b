"""Balance of classification: one class an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch.nn.functional import one_hot

from edgepress.params import Config
from edgepress.records.tensors import Arrays
from edgepress.tasks._terms import cross_entropy
from edgepress.tasks.balance import Balance, ByClass, Shown

if TYPE_CHECKING:
    from torch import Tensor


def balance(classes: tuple[str, ...], *, params: Config) -> Balance:  # noqa: ARG001
    """Return the class of each image and the cross-entropy."""
    count = len(classes)

    def shown(truth: Arrays) -> Shown:
        labels = truth["label"].astype(np.int64)
        return Shown(np.arange(len(labels)), labels, len(labels), count)

    def wanted(truth: dict[str, Tensor]) -> Tensor:
        if "shares" in truth:
            return truth["shares"]
        return one_hot(truth["label"].long(), count).float()

    return Balance(shown, ByClass(True, wanted, cross_entropy))
