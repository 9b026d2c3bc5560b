"""Classification: one class for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from edgepress.data.labels import Admitted, Read, Seen
from edgepress.data.picture import UnusableError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays


class Params(Config):
    """Nothing to choose."""

    method: Literal["classification"]


@dataclass(frozen=True)
class Labels:
    """A label is an index into the classes."""

    classes: tuple[str, ...]
    least_classes: int = 2

    def schema(self) -> pa.DataType:
        """Return the type of a label."""
        return pa.int32()

    def source(self) -> pa.DataType:
        """Return the type of a source's label: the same."""
        return pa.int32()

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted:  # noqa: ARG002
        """Take an index into the classes."""
        if not isinstance(label, int) or not 0 <= label < len(self.classes):
            raise UnusableError(f"no label: {label} is none of the {len(self.classes)} classes")
        return Admitted(label, (label,))

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:  # noqa: ARG002
        """Return `label`, int64 [1]."""
        return {"label": np.array([label], np.int64)}


def labels(classes: tuple[str, ...], *, params: Params) -> Labels:  # noqa: ARG001
    """Return the rules of labels."""
    return Labels(classes)
