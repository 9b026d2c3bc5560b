"""Maps: boxes and scores at the places of each stride, as two of the codings have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors, TensorSpec
from edgepress.tasks.detection.codings.coding import Floats


@dataclass(frozen=True)
class Level:
    """The maps of one stride and one item."""

    stride: int
    boxes: Floats
    """[C, h, w]"""
    scores: Floats
    """[D, h, w]"""


def outputs(
    spec: InputSpec, strides: Sequence[int], channels: tuple[int, int]
) -> tuple[TensorSpec, ...]:
    """Return `boxes_S` and `scores_S` for each stride S, [1, C, h, w] by their channels."""
    found = []
    for stride in strides:
        size = (-(-spec.height // stride), -(-spec.width // stride))
        for name, count in zip(("boxes", "scores"), channels, strict=True):
            shape = (1, count, *size)
            found.append(TensorSpec(name=f"{name}_{stride}", shape=shape, layout="NCHW"))
    return tuple(found)


def levels(raw: Tensors, strides: Sequence[int]) -> list[Level]:
    """Return the maps of one item, in the order of the strides."""
    return [
        Level(
            stride,
            np.asarray(raw[f"boxes_{stride}"], np.float32),
            np.asarray(raw[f"scores_{stride}"], np.float32),
        )
        for stride in strides
    ]
