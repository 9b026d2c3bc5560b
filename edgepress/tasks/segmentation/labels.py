"""Segmentation: one class for each pixel, from grey or palette masks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from pydantic import Field

from edgepress.data.labels import Admitted, Read, Seen
from edgepress.data.picture import UnusableError, load, upright
from edgepress.data.placement import placement
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

Mask = npt.NDArray[np.uint8]

_FORMATS = ("PNG", "TIFF", "BMP", "GIF", "PPM")
_MODES = {"1", "L", "P", "I", "I;16", "I;16B"}
_POINTER = pa.struct([("path", pa.string()), ("above_zero", pa.bool_())])
_STORED = pa.struct([*_POINTER, ("sha256", pa.string())])
MOST_CLASSES = 250
"""Classes a mask of bytes can hold beside the two values that are none."""


class Params(Config):
    """What of a mask is judged, and where the answer's last step is taken."""

    method: Literal["segmentation"]
    ignore_index: int | None = Field(ge=0, le=255)
    """Value of a mask that is neither learnt nor judged; null where every pixel counts."""
    argmax: bool
    """The exported graph gives the class of each pixel, int32, rather than all its logits."""


@dataclass(frozen=True)
class Labels:
    """A label points to a mask file: grey values, or a palette's indices, are classes."""

    classes: tuple[str, ...]
    params: Params
    least_classes: int = 2

    def schema(self) -> pa.DataType:
        """Return the type of a label: the mask's path and sha256, and how its values are read."""
        return _STORED

    def source(self) -> pa.DataType:
        """Return the type of a source's label: the same without the hash."""
        return _POINTER

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted:
        """Take a mask of the picture's size whose every value is a class, or the one ignored."""
        data = read(label["path"])
        values = _values(data)
        if values.shape != (seen.height, seen.width):
            height, width = values.shape
            raise UnusableError(
                f"label: the mask is {width} x {height}, the picture {seen.width} x {seen.height}"
            )
        present = np.unique(values)
        if label["above_zero"]:
            present = np.unique(present > 0)
        found = [int(value) for value in present if value != self.params.ignore_index]
        wrong = [value for value in found if value >= len(self.classes)]
        if wrong:
            raise UnusableError(
                f"label: the mask holds {wrong[0]}, the {len(self.classes)} classes are numbered "
                f"from 0 and ignore_index is {self.params.ignore_index}"
            )
        return Admitted({**label, "sha256": hashlib.sha256(data).hexdigest()}, tuple(found))

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:
        """Return `mask`, uint8 [1, H, W], resized to the nearest pixel; 255 is ignored.

        What a letterbox adds around the picture is ignored too.
        """
        data = read(label["path"])
        if hashlib.sha256(data).hexdigest() != label["sha256"]:
            raise UserError(f"{label['path']}: the mask changed since ingest; ingest again")
        values = _values(data)
        mask = (values > 0) if label["above_zero"] else values
        if self.params.ignore_index is not None and not label["above_zero"]:
            mask = np.where(values == self.params.ignore_index, IGNORED, values)
        image = Image.fromarray(mask.astype(np.uint8))
        place = placement(image.size, spec)
        if image.size != (place.width, place.height):
            image = image.resize((place.width, place.height), Image.Resampling.NEAREST)
        found = np.full((1, spec.height, spec.width), IGNORED, np.uint8)
        found[0, place.rows, place.columns] = np.asarray(image, np.uint8)
        return {"mask": found}


IGNORED = 255
"""Value of a truth's pixel that is neither learnt nor judged."""


def labels(classes: tuple[str, ...], *, params: Params) -> Labels:
    """Return the rules of labels."""
    if len(classes) > MOST_CLASSES:
        raise UserError(f"task: {len(classes)} classes, segmentation takes {MOST_CLASSES} at most")
    return Labels(classes, params)


def _values(data: bytes) -> npt.NDArray[np.int64]:
    """Return a mask's values [H, W]: grey levels as they are, or a palette's indices."""
    try:
        image = load(data, _FORMATS)
    except UnusableError as error:
        raise UnusableError(f"label: the mask is {error}") from None
    if image.mode not in _MODES:
        raise UnusableError(f"label: the mask is {image.mode}; expected grey values or a palette")
    return np.asarray(upright(image, image)).astype(np.int64)
