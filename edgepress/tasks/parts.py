"""Parts: an item answered piece by piece, such as a large picture by tiles.

The optional `parts.py` of a task's folder says where a picture is cut and how the answers of its
parts become one answer, in the same terms as that of a picture which is not cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgepress.data.window import Window
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors


class PartRules(Protocol):
    """How pictures are cut, and what becomes of the answers."""

    def windows(self, size: tuple[int, int], spec: InputSpec) -> Sequence[Window]:
        """Return the parts of an upright picture of `size` (width, height), at least one.

        Each is prepared as a whole picture is.
        """
        ...

    def merged(self, found: Arrays, size: tuple[int, int], spec: InputSpec) -> Arrays:
        """Return the decoded answers [n, ...] of a picture's n parts as that of one item."""
        ...


@dataclass(frozen=True)
class Parted:
    """One item to be answered in parts."""

    batches: Iterable[Tensors]
    """Its parts in order, prepared: name -> [some, ...], a few at a time."""
    merged: Callable[[Arrays], Arrays]
    """From the decoded answers of all parts to the item's."""
    kept: int
    """The part whose raw outputs are compared where the item is in the reference's sample."""
