"""Balance of multi-label: any classes on an image, each with a loss of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepress.records.tensors import Arrays
from edgepress.tasks._terms import asymmetric
from edgepress.tasks.balance import Balance, ByClass, Shown
from edgepress.tasks.multilabel.labels import Params

if TYPE_CHECKING:
    from torch import Tensor


def balance(classes: tuple[str, ...], *, params: Params) -> Balance:  # noqa: ARG001
    """Return the classes of each image and the loss that the task names."""

    def shown(truth: Arrays) -> Shown:
        present = truth["present"]
        item, category = np.nonzero(present)
        return Shown(item, category, *present.shape)

    def wanted(truth: dict[str, Tensor]) -> Tensor:
        return truth["present"].float()

    def terms(logits: Tensor, wanted: Tensor) -> Tensor:
        focus = (params.focus_positive, params.focus_negative)
        return asymmetric(logits, wanted, *focus, params.margin)

    return Balance(shown, ByClass(False, wanted, terms))
