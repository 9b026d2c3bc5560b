"""Keypoints: named points of the one object of a picture, or of each object inside its box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from edgepress.data.labels import Admitted, Instance, Instances, Read, Seen
from edgepress.data.objects import OBJECTS, Found, admitted
from edgepress.data.picture import UnusableError
from edgepress.data.placement import placement
from edgepress.data.window import Window
from edgepress.errors import nearest
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

_STORED = pa.struct(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("category", pa.int32()),
        ("points", pa.list_(pa.list_(pa.float32(), 2))),
        ("visible", pa.list_(pa.int8())),
        ("box", pa.list_(pa.float32())),
        ("area", pa.float32()),
    ]
)


NOT_JUDGED = "crowd or object not to be judged"
UNLABELLED = "object without a labelled point in its crop"
BEYOND = "point outside its object's crop"
EMPTY = "picture without an object to look at"
"""Rules by which something on a picture is in no item."""


class Inside(Config):
    """Several objects a picture: each is an item of its own, the picture cut around its box."""

    margin: float = Field(ge=0, le=2)
    """What a box is grown by on every side before the picture is cut, as a share of its longer
    side; what lies beyond the picture's border is not there."""


class Params(Config):
    """Which points are looked for, how a network says where they are, and how that is judged."""

    method: Literal["keypoints"]
    points: tuple[str, ...] = Field(min_length=1, max_length=1000)
    """Names of the points, in the order of the labels."""
    swaps: tuple[tuple[str, str], ...]
    """Pairs of points that change places in a mirrored picture: left and right of the object."""
    sigmas: float | tuple[float, ...]
    """Constants of OKS, how far labels scatter as a share of the root of the object's area, for all
    points or one each; COCO's are 0.025 (eyes) to 0.107 (hips)."""
    tolerance: float = Field(gt=0, le=1)
    """Share of the longer side of the object's box within which a point is right (PCK)."""
    sure: float = Field(gt=0, lt=1)
    """Confidence from which a point is shown and counted in words."""
    form: Literal["heatmap", "simcc"]
    """A map of places for each point, or a row of bins for each of its two coordinates."""
    stride: float = Field(gt=0, le=64)
    """Pixels of the input from one place or bin to the next: 1, 2, 4 ... for heatmap; simcc takes
    fractions too, 0.5 in the paper."""
    blur: float = Field(ge=0.5, le=20)
    """Standard deviation of a target around its point, in places or bins; 2 for a heatmap of
    64 x 48 in the paper."""
    inside: Inside | None = None
    """How a picture is cut around each of its objects; null takes whole pictures of one object."""

    @model_validator(mode="after")
    def _points_are_known(self) -> Self:
        _refuse_repeats(self.points, "points")
        if not all(self.points):
            raise ValueError("points: a name is empty")
        swapped = [name for pair in self.swaps for name in pair]
        for name in swapped:
            if name not in self.points:
                hint = nearest(name, list(self.points))
                raise ValueError(f"swaps: {name!r} is none of {', '.join(self.points)}{hint}")
        _refuse_repeats(swapped, "swaps")
        return self

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        sigmas = self.sigmas if isinstance(self.sigmas, tuple) else (self.sigmas,)
        if isinstance(self.sigmas, tuple) and len(sigmas) != len(self.points):
            raise ValueError(f"sigmas: {len(sigmas)} for {len(self.points)} points; one each")
        if not all(0 < sigma <= 1 for sigma in sigmas):
            raise ValueError(f"sigmas: expected above 0, at most 1, got {self.sigmas}")
        if self.form == "heatmap" and np.log2(self.stride) not in range(7):
            raise ValueError(f"stride: a heatmap has 1, 2, 4 ... 64, got {self.stride:g}")
        return self

    @property
    def mirrored(self) -> tuple[int, ...]:
        """For each point the index of the one whose place it takes in a mirrored picture."""
        other = {a: b for pair in self.swaps for a, b in (pair, pair[::-1])}
        return tuple(self.points.index(other.get(name, name)) for name in self.points)


@dataclass(frozen=True)
class Labels:
    """A label is the points of one object of an upright picture, in the pixels of what is shown.

    Of whole pictures, one without an object has nothing that could be learnt or judged, and is
    refused; so is one whose object has no labelled point. Crowds and objects that are not judged do
    not count. Where pictures are cut around boxes, what is no item is left out and counted.
    """

    classes: tuple[str, ...]
    params: Params
    least_classes: int = 1

    def schema(self) -> pa.DataType:
        """Return the type of a label: points, box and area, and the size of what is shown."""
        return _STORED

    def source(self) -> pa.DataType:
        """Return the type of a source's label: objects of any kind."""
        return OBJECTS

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted | Instances:  # noqa: ARG002
        """Take the one object, or each, with as many points as the task names, some labelled."""
        every = admitted(label, seen, len(self.classes))
        if self.params.inside is not None:
            return self._each(every, seen, self.params.inside.margin)
        found = self._the_one(every)
        if not found.points[:, 2].any():
            count = len(found.points)
            raise UnusableError(f"no label: none of the object's {count} points is labelled")
        return _stored(found, seen, Window(0, 0, seen.width, seen.height))

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:  # noqa: ARG002
        """Return the points in the input, and what they are judged by in the picture.

        `points` float32 [1, K, 2] x, y in pixels of the input, `visible` int8 [1, K] (0 no label, 1
        hidden, 2 seen), `frame` float32 [1, 2] width and height of the input, `scale` float32
        [1, 2] pixels of the input for one of the picture, across and down; `size` float32 [1, 1]
        the longer side of the object's box and `area` float32 [1, 1], in pixels of the picture.
        """
        place = placement((label["width"], label["height"]), spec)
        left, top, right, bottom = label["box"]
        visible = np.array(label["visible"], np.int8)
        points = np.array(label["points"], np.float64) * place.scale + (place.left, place.top)
        return {
            "points": np.where(visible[:, None] > 0, points, 0.0).astype(np.float32)[None],
            "visible": visible[None],
            "frame": np.array([[spec.width, spec.height]], np.float32),
            "scale": np.array([place.scale], np.float32),
            "size": np.array([[max(right - left, bottom - top)]], np.float32),
            "area": np.array([[label["area"]]], np.float32),
        }

    def _the_one(self, every: list[Found]) -> Found:
        judged = [each for each in every if not (each.crowd or each.ignore)]
        if len(judged) != 1:
            what = f"{len(judged)} objects" if judged else "no object"
            raise UnusableError(f"label: holds {what}, this task takes one a picture")
        (found,) = judged
        self._refuse_others(found, "label:")
        return found

    def _each(self, every: list[Found], seen: Seen, margin: float) -> Instances:
        """Return an item for each object that has a labelled point in its crop."""
        instances, left_out = [], []
        for number, found in enumerate(every, 1):
            if found.crowd or found.ignore:
                left_out.append(NOT_JUDGED)
                continue
            if len(found.points):
                self._refuse_others(found, f"label: object {number}")
            window = Window.around(found.box, margin, (seen.width, seen.height))
            stored = _stored(found, seen, window)
            there = np.count_nonzero(stored.label["visible"])
            left_out += [BEYOND] * (np.count_nonzero(found.points[:, 2]) - there)
            if there:
                instances.append(Instance(number, window, stored))
            else:
                left_out.append(UNLABELLED)
        return Instances(tuple(instances), tuple(left_out if instances else [*left_out, EMPTY]))

    def _refuse_others(self, found: Found, where: str) -> None:
        if len(found.points) != len(self.params.points):
            raise UnusableError(
                f"{where} has {len(found.points)} points, task.points names "
                f"{len(self.params.points)}"
            )


def labels(classes: tuple[str, ...], *, params: Params) -> Labels:
    """Return the rules of labels."""
    return Labels(classes, params)


def _stored(found: Found, seen: Seen, window: Window) -> Admitted:
    """Return an object as the manifest holds it, in the window's pixels.

    Points that do not lie in the window have no label.
    """
    corner, (left, top, right, bottom) = window.edges[:2], found.box
    places = np.clip(found.points[:, :2], 0, (seen.width, seen.height)) - corner
    inside = ((places >= 0) & (places <= window.size)).all(axis=1)
    visible = np.where(inside, found.points[:, 2], 0).astype(int)
    stored = {
        "width": window.size[0],
        "height": window.size[1],
        "category": found.category,
        "points": np.where(visible[:, None] > 0, places, 0.0).tolist(),
        "visible": visible.tolist(),
        "box": [left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]],
        "area": found.area,
    }
    return Admitted(stored, (found.category,))


def _refuse_repeats(names: tuple[str, ...] | list[str], key: str) -> None:
    for name in names:
        if list(names).count(name) > 1:
            raise ValueError(f"{key}: {name!r} stands there twice")
