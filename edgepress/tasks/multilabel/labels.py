"""Multi-label: several classes, one or none for each image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from edgepress.data.labels import Admitted, Read, Seen
from edgepress.data.objects import OBJECTS, admitted
from edgepress.data.picture import UnusableError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

_SET = pa.list_(pa.int32())


class Params(Config):
    """What the source lists, when a class counts as given, and what the loss weighs."""

    method: Literal["multilabel"]
    labels: Literal["classes", "objects"]
    """classes: the source lists each image's classes; objects: it lists boxes, outlines or points,
    and an image has the classes of its objects."""
    threshold: float = Field(gt=0, lt=1)
    """Confidence from which a class is given."""
    focus_positive: float = Field(ge=0, le=10)
    """Asymmetric loss: power that lessens what classes that are there count once they are known; 0
    with the two below is plain cross-entropy."""
    focus_negative: float = Field(ge=0, le=10)
    """Asymmetric loss: the same for classes that are not there, usually higher."""
    margin: float = Field(ge=0, lt=1)
    """Asymmetric loss: confidence up to which a class that is not there counts nothing."""


@dataclass(frozen=True)
class Labels:
    """A label is a set of indices into the classes; it may be empty."""

    classes: tuple[str, ...]
    params: Params
    least_classes: int = 1

    def schema(self) -> pa.DataType:
        """Return the type of a label: indices, ascending."""
        return _SET

    def source(self) -> pa.DataType:
        """Return the type of a source's label: indices in any order, or objects."""
        return OBJECTS if self.params.labels == "objects" else _SET

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted:  # noqa: ARG002
        """Take indices into the classes, each at most once, or the classes of objects."""
        if self.params.labels == "objects":
            found = {each.category for each in admitted(label, seen, len(self.classes))}
        else:
            found = self._checked(label)
        stored = sorted(found)
        return Admitted(stored, tuple(stored))

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:  # noqa: ARG002
        """Return `present`, uint8 [1, C]: 1 where the image has the class."""
        present = np.zeros((1, len(self.classes)), np.uint8)
        present[0, label] = 1
        return {"present": present}

    def _checked(self, label: Any) -> set[int]:
        count = len(self.classes)
        if not isinstance(label, list):
            raise UnusableError(f"no label: {label!r} is no list of classes")
        for index in label:
            if not isinstance(index, int) or not 0 <= index < count:
                raise UnusableError(
                    f"label: class {index} is none of the {count}, which are numbered from 0"
                )
        if len(set(label)) < len(label):
            (index, times), *_ = Counter(label).most_common(1)
            raise UnusableError(f"label: names {self.classes[index]!r} {times} times, once is due")
        return set(label)


def labels(classes: tuple[str, ...], *, params: Params) -> Labels:
    """Return the rules of labels."""
    return Labels(classes, params)
