"""LabelRules: what the data room asks of a task about its labels; `labels.py` of it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from edgepress.data.window import Window
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays

Read = Callable[[str], bytes]
"""Path of a file that a label points to -> its bytes; one that cannot be read: `UnusableError`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture was seen to be when its label is checked."""

    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    orientation: int = 1
    """EXIF's number for how the file's rows lie, 1 to 8; the picture has been turned by it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A label that may be used."""

    label: Any
    """A value of the task's schema."""
    classes: tuple[int, ...]
    """The classes the item counts for, in counts, floors and strata; may be none or several."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One thing on a picture, shown by a window, that is an item of its own."""

    number: int
    """Of what it shows, counted from 1 in the source's label: the item's id ends with it."""
    window: Window
    admitted: Admitted
    """The label of what the window shows, in its pixels."""


@dataclass(frozen=True, slots=True)
class Instances:
    """A label that makes several items of one picture, or none."""

    instances: tuple[Instance, ...]
    left_out: tuple[str, ...]
    """The rule by which something on the picture is in no item, once for each such thing."""


class LabelRules(Protocol):
    """Labels of one task: their type on disk, which may be used, and what they are as arrays."""

    classes: tuple[str, ...]

    @property
    def least_classes(self) -> int:
        """Classes there have to be: 2 where they exclude one another, 1 where they do not."""
        ...

    def schema(self) -> pa.DataType:
        """Return the type of the manifest's column `label`."""
        ...

    def source(self) -> pa.DataType:
        """Return the type of the labels that a source of this task lists."""
        ...

    def admit(self, label: Any, seen: Seen, read: Read) -> Admitted | Instances:
        """Check a label of a picture; `UnusableError` says why it cannot be used."""
        ...

    def truth(self, label: Any, spec: InputSpec, read: Read) -> Arrays:
        """Return one item's label as arrays [1, ...], moved as `spec` moves pictures."""
        ...
