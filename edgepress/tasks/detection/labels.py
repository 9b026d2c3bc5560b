"""Detection: boxes of objects with their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from edgepress.data.labels import Admitted, Read, Seen
from edgepress.data.objects import OBJECTS, admitted
from edgepress.data.picture import UnusableError
from edgepress.data.placement import placement
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.detection.codings import distances, queries
from edgepress.tasks.detection.codings.entry import Entry
from edgepress.tasks.detection.decoding import NONE
from edgepress.tasks.detection.windows import Tiles

_STORED = pa.struct(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("boxes", pa.list_(pa.list_(pa.float32()))),
        ("categories", pa.list_(pa.int32())),
        ("areas", pa.list_(pa.float32())),
        ("crowds", pa.list_(pa.bool_())),
        ("ignored", pa.list_(pa.bool_())),
    ]
)


class Params(Config):
    """Where boxes are looked for, and which of those found are the answer."""

    method: Literal["detection"]
    strides: tuple[int, ...] = Field(max_length=6)
    """Pixels of the input from one place that may hold an object to the next, finest first; none,
    `[]`, with the coding `queries`, whose head says where it looks."""
    most_objects: int = Field(ge=1, le=1000)
    """Objects an image may hold; one with more is quarantined."""
    most_answers: int = Field(ge=1, le=1000)
    """Boxes kept of one image, the surest; COCO judges 100."""
    least_score: float = Field(gt=0, lt=1)
    """Confidence below which a box is dropped before any other step."""
    overlap: float = Field(gt=0, le=1)
    """Of two boxes of one class with a higher intersection over union the surer one is kept; with 1
    both are."""
    sure: float = Field(gt=0, lt=1)
    """Confidence from which a box is shown, and counts in the agreement of two answers."""
    coding: Entry = distances.Params(method="distances")
    """What the outputs of the network say: `{method: distances}` of each place's box, codes of
    `{method: default_boxes, ...}`, which are SSD's, or `{method: queries, ...}`, a set of boxes."""

    tiles: Tiles | None = None
    """How a picture larger than the input is answered where targets are validated: by tiles of the
    input's size, `{overlap: 0.2, whole: true}`, or, with null, shrunk into one input."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(b <= a for a, b in zip((0, *self.strides), self.strides, strict=False)):
            raise ValueError(f"strides must be above 0 and rise, got {list(self.strides)}")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        """Hold what else is asked for against the coding."""
        if not isinstance(self.coding, queries.Params):
            if not self.strides:
                raise ValueError(f"strides must not be empty with the coding {self.coding.method}")
            return self
        if self.strides:
            raise ValueError(
                "strides must be [] with the coding queries, which has no maps (the head says "
                f"where it looks), got {list(self.strides)}"
            )
        count = self.coding.queries
        for name in ("most_objects", "most_answers"):
            if (most := getattr(self, name)) > count:
                raise ValueError(
                    f"{name} must be at most coding.queries, {count}, since an object has a query "
                    f"of its own, got {most}"
                )
        return self


@dataclass(frozen=True)
class Labels:
    """A label is the boxes of an upright picture, in its pixels; a picture may hold none."""

    classes: tuple[str, ...]
    params: Params
    least_classes: int = 1

    def schema(self) -> pa.DataType:
        """Return the type of a label: arrays over the objects, and the picture's size."""
        return _STORED

    def source(self) -> pa.DataType:
        """Return the type of a source's label: objects of any kind."""
        return OBJECTS

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted:  # noqa: ARG002
        """Take boxes that lie in the picture, with classes that there are."""
        found = admitted(label, seen, len(self.classes))
        if len(found) > self.params.most_objects:
            raise UnusableError(
                f"label: holds {len(found)} objects, task.most_objects is "
                f"{self.params.most_objects}"
            )
        stored = {
            "width": seen.width,
            "height": seen.height,
            "boxes": [list(each.box) for each in found],
            "categories": [each.category for each in found],
            "areas": [each.area for each in found],
            "crowds": [each.crowd for each in found],
            "ignored": [each.ignore for each in found],
        }
        counted = {each.category for each in found if not (each.crowd or each.ignore)}
        return Admitted(stored, tuple(sorted(counted)))

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:  # noqa: ARG002
        """Return M places for objects, those unused with category -1, and how far it was shrunk.

        `boxes` float32 [1, M, 4] in pixels of the input, `category` int32 [1, M], `crowd` and
        `ignore` bool [1, M], `area` float32 [1, M] in pixels of the picture, `scale` float32
        [1, 2]: pixels of the input for one of the picture, across and down.
        """
        place = placement((label["width"], label["height"]), spec)
        count, most = len(label["boxes"]), self.params.most_objects
        scale = np.array(place.scale, np.float32)
        found: Arrays = {
            "boxes": np.zeros((1, most, 4), np.float32),
            "category": np.full((1, most), NONE, np.int32),
            "crowd": np.zeros((1, most), np.bool_),
            "ignore": np.zeros((1, most), np.bool_),
            "area": np.zeros((1, most), np.float32),
            "scale": scale[None],
        }
        if count:
            boxes = np.array(label["boxes"], np.float32)
            corner = np.array([place.left, place.top], np.float32)
            found["boxes"][0, :count] = boxes * np.tile(scale, 2) + np.tile(corner, 2)
            for name, column in _COLUMNS.items():
                found[name][0, :count] = label[column]
        return found


_COLUMNS = {"category": "categories", "crowd": "crowds", "ignore": "ignored", "area": "areas"}


def labels(classes: tuple[str, ...], *, params: Params) -> Labels:
    """Return the rules of labels."""
    return Labels(classes, params)
