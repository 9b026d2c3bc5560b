"""SSD's default boxes: at each place boxes of several sizes and proportions, each one classified.

Paper: Liu et al. 2016, https://arxiv.org/abs/1512.02325; sizes, order and the scale of the codes
are torchvision's. The scores of a default box are a softmax over "nothing", which is first, and the
classes; its code is how far the box's middle and the logarithms of its sides are from its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Tensors, TensorSpec
from edgepress.tasks.detection.codings import maps
from edgepress.tasks.detection.codings.coding import Candidates, Floats
from edgepress.tasks.detection.codings.maps import Level

FINENESS = np.array([10, 10, 5, 5], np.float32)
"""Steps of a code in one side of a default box (x, y), and in one e-fold of a side."""
LARGEST = float(np.log(1000 / 16))
"""Logarithm of a growth above which it is cut."""
Grids = tuple[tuple[int, int, int], ...]
"""Stride, rows and columns of each map, finest first."""


class Params(Config):
    """Which default boxes there are; SSDLite's are ratios [2, 3] and sizes from 0.2 to 0.95."""

    method: Literal["default_boxes"]
    ratios: Annotated[
        tuple[Annotated[float, Field(gt=1, le=10)], ...], Field(max_length=4, strict=False)
    ]
    """Longer over shorter side of the boxes that lie and stand at every place, beside two that are
    as high as wide on a square input."""
    least: float = Field(gt=0, lt=1)
    """Size of the boxes of the finest map, as a share of the input's sides."""
    most: float = Field(gt=0, le=1)
    """The same of the coarsest map; those between rise evenly."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.most <= self.least:
            raise ValueError(f"most must be above least, got {self.most} and {self.least}")
        return self

    @property
    def each(self) -> int:
        """Default boxes at a place."""
        return at_a_place(self)


@dataclass(frozen=True)
class DefaultBoxes:
    """Maps of 4 codes, and of a logit for nothing and for each class, of every box at a place."""

    classes: int
    strides: tuple[int, ...]
    params: Params

    def outputs(self, spec: InputSpec) -> tuple[TensorSpec, ...]:
        """Return two maps a stride; in their channels one box comes after another."""
        count = at_a_place(self.params)
        channels = (4 * count, (self.classes + 1) * count)
        return maps.outputs(spec, self.strides, channels)

    def candidates(self, raw: Tensors, spec: InputSpec, least: float) -> Candidates:  # noqa: ARG002
        """Return the boxes of all default boxes and classes above a confidence."""
        levels = maps.levels(raw, self.strides)
        grids = tuple((level.stride, *level.scores.shape[1:]) for level in levels)
        plain = placed(grids, self.params)
        pairs = zip(levels, plain, strict=True)
        return Candidates.joined([self._of(level, each, least) for level, each in pairs])

    def _of(self, level: Level, plain: Floats, least: float) -> Candidates:
        count = at_a_place(self.params)
        logits = level.scores.reshape(count, self.classes + 1, -1)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = (odds / odds.sum(axis=1, keepdims=True))[:, 1:]
        box, category, place = np.nonzero(scores > least)
        codes = level.boxes.reshape(count, 4, -1)[box, :, place]
        found = boxes_of(codes, plain.reshape(count, -1, 4)[box, place])
        return Candidates(found, scores[box, category, place], category)


def at_a_place(params: Params) -> int:
    """Return the default boxes at a place."""
    return 2 + 2 * len(params.ratios)


def coding(classes: int, strides: tuple[int, ...], *, params: Params) -> DefaultBoxes:
    """Return the coding for a number of classes."""
    return DefaultBoxes(classes, strides, params)


@lru_cache(maxsize=8)
def placed(grids: Grids, params: Params) -> tuple[Floats, ...]:
    """Return each map's default boxes, [boxes at a place * rows * columns, 4], not to be written.

    A box is its middle's x, y, width and height, in input pixels; the input is as large as the
    finest map says.
    """
    stride, rows, columns = grids[0]
    frame = np.array([columns * stride, rows * stride], np.float64)
    found = []
    for sides, (_, rows, columns) in zip(_sides(len(grids), params), grids, strict=True):
        y, x = np.mgrid[:rows, :columns].reshape(2, -1) + 0.5
        middle = np.stack([x / columns, y / rows], axis=1) * frame
        sizes = np.repeat(sides * frame, len(middle), axis=0)
        whole = np.concatenate([np.tile(middle, (len(sides), 1)), sizes], axis=1)
        whole = whole.astype(np.float32)
        whole.flags.writeable = False
        found.append(whole)
    return tuple(found)


def _sides(levels: int, params: Params) -> list[Floats]:
    """Return width and height of each level's boxes as shares of the input, [boxes, 2]."""
    steps = np.linspace(params.least, params.most, levels).tolist()
    scales = [*steps, 1.0] if levels > 1 else [params.least, params.most]
    found = []
    for scale, larger in zip(scales, scales[1:], strict=False):
        sides = [[scale, scale], [(scale * larger) ** 0.5] * 2]
        for ratio in params.ratios:
            long, short = scale * ratio**0.5, scale / ratio**0.5
            sides += [[long, short], [short, long]]
        found.append(np.minimum(sides, 1.0).astype(np.float32))
    return found


def boxes_of(codes: Floats, plain: Floats) -> Floats:
    """Map codes [..., 4] of default boxes [..., 4] to left, top, right, bottom, input pixels."""
    steps = codes / FINENESS
    middle = steps[..., :2] * plain[..., 2:] + plain[..., :2]
    half = np.exp(np.minimum(steps[..., 2:], LARGEST)) * plain[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)
