"""TensorSpec: one named tensor at the border of a network, of an export or of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
"""Name -> array: what a session takes and what it gives."""
Arrays = dict[str, Array]
"""Name -> array over items: answers and truths; the first axis of each counts items. What an item
may have several of is filled up to one number, with a value that says there is none."""

Groups = npt.NDArray[np.int64] | None
"""Number of each item's group [N], from 0 without a gap; None where each is one of its own."""

Dtype = Literal["float32", "float16", "int8", "uint8", "int32", "int64", "bool"]


class TensorSpec(BaseModel):
    """Name, shape for a batch of one, element type, and a letter for the meaning of every axis."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    shape: tuple[int, ...]
    """Of a batch of one; the first axis is the batch."""
    dtype: Dtype = "float32"
    layout: str
    """A letter per axis: N batch, C channels or classes, H height, W width, D depth, L length."""

    @model_validator(mode="after")
    def _one_letter_per_axis(self) -> Self:
        if len(self.layout) != len(self.shape):
            raise ValueError(
                f"layout {self.layout!r} names {len(self.layout)} axes of {self.shape}"
            )
        return self

    def zeros(self) -> Array:
        """Return a tensor of this shape and type that holds zeros."""
        return np.zeros(self.shape, self.dtype)


def permutation(source: str, target: str) -> tuple[int, ...]:
    """Return the axes that turn an array of layout `source` into one of layout `target`."""
    if sorted(source) != sorted(target):
        raise ValueError(f"layouts {source!r} and {target!r} have different axes")
    return tuple(source.index(axis) for axis in target)
