"""Balance: what a task says of its classes to recipes that are to balance them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgepress.records.tensors import Arrays

if TYPE_CHECKING:
    from torch import Tensor

    Outputs = dict[str, Tensor]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """Which class is on which item: P pairs, each once however many objects there are."""

    item: Ints
    """[P], ascending."""
    category: Ints
    """[P], indices into the classes."""
    items: int
    """Of all, those without a class among them."""
    classes: int

    @property
    def counts(self) -> Ints:
        """Items that show each class, [classes]."""
        return np.bincount(self.category, minlength=self.classes)


@dataclass(frozen=True)
class ByClass:
    """A loss that is a sum over classes: another may take its place, and classes be weighed."""

    exclusive: bool
    """Whether an item has one of the classes, or each may be there or not."""
    wanted: Callable[[Outputs], Tensor]
    """A batch of truths -> what is wanted of each class, 0 to 1, [N, classes]."""
    terms: Callable[[Tensor, Tensor], Tensor]
    """The task's own loss: logits and what is wanted, [N, classes] each, to [N, classes]."""
    logits: str = "logits"
    """The output that the logits are."""


@dataclass(frozen=True)
class Balance:
    """The classes of a task's truth, and its loss where it is a sum over them."""

    shown: Callable[[Arrays], Shown]
    """All truths, arrays [N, ...] by name -> which class is on which."""
    loss: ByClass | None = None
    """None: the loss is the task's own, no other can be named."""
