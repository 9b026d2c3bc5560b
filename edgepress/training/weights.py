"""Class weights: how much what is said of each class counts in the loss.

Balanced: as scikit-learn's, items / (classes * items of the class). Effective number: Cui et al.
2019, https://arxiv.org/abs/1901.05555, by which a class's ever further items tell ever less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import PlainValidator

from edgepress.errors import UserError, nearest
from edgepress.tasks.balance import Shown

Word = Literal["none", "balanced", "effective_number"]
"""none; all classes alike together; less than that, as a class's items tell less the more there
are of them."""
BETA = 0.999
"""Of the effective number (1 - beta^n) / (1 - beta): a class's thousandth item tells a third of
what its first did."""

_TOLD = 20
"""Classes that a message lists."""


def _read(raw: Any) -> Any:
    words = get_args(Word)
    if not isinstance(raw, dict):
        if raw not in words:
            raise ValueError(f"expected one of {', '.join(words)}, or a mapping class: weight")
        return raw
    for name, weight in raw.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < float("inf"):
            raise ValueError(f"{name}: expected a weight above 0")
    return {str(name): float(weight) for name, weight in raw.items()}


ClassWeights = Annotated[
    Word | dict[str, float],
    PlainValidator(_read, json_schema_input_type=Word | dict[str, float]),
]
"""A word, or weights by class; a class that is not named has 1."""


def refuse_unknown(named: Mapping[str, Any], classes: Sequence[str], where: str) -> None:
    """Refuse a mapping that names a class which is not there, by its name."""
    for name in named:
        if name not in classes:
            some = ", ".join(classes[:_TOLD]) + (", ..." if len(classes) > _TOLD else "")
            raise UserError(
                f"{where}.{name}: no such class{nearest(name, list(classes))}; "
                f"the {len(classes)} are {some}"
            )


def weights(
    kind: Word | dict[str, float], shown: Shown, classes: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """Return the weight of each class, [classes].

    What is weighed, an image's one class or each of several, weighs 1 on average over the training
    images, so that a learning rate means what it did; but for a mapping, which is taken as it is.
    A class that no image shows has 1.
    """
    if isinstance(kind, dict):
        refuse_unknown(kind, classes, "training: class_weights")
        return np.array([kind.get(name, 1.0) for name in classes])
    counts = np.maximum(shown.counts, 1).astype(np.float64)
    told = (1 - BETA**counts) / (1 - BETA) if kind == "effective_number" else counts
    found, there = 1 / told, shown.counts > 0
    found *= counts[there].sum() / (counts * found)[there].sum()
    return np.where(there, found, 1.0)
