"""LabelRules: what the data room asks of a task about its labels; `labels.py` of it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

Read = Callable[[str], bytes]
"""Path of a file that a label points to -> its bytes; one that cannot be read: `UnusableError`."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A label that may be used."""

    label: Any
    """A value of the task's schema."""
    classes: tuple[int, ...]
    """The classes the item counts for, in counts, floors and strata; may be none or several."""


class LabelRules(Protocol):
    """Labels of one task: their type on disk, which may be used, and what they are as arrays."""

    classes: tuple[str, ...]

    def schema(self) -> pa.DataType:
        """Return the type of the manifest's column `label`."""
        ...

    def source(self) -> pa.DataType:
        """Return the type of the labels that a source of this task lists."""
        ...

    def admit(self, label: Any, size: tuple[int, int], read: Read) -> Admitted:
        """Check a label of a picture of `size` (width, height); `UnusableError` says why not."""
        ...

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:
        """Return one item's label as arrays [1, ...], moved as `spec` moves pictures."""
        ...
