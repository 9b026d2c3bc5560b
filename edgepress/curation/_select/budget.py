"""The budget every method meets to the row, and the parameters that methods share."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from pydantic import Field

from edgepress.curation._concepts.deduplicate import Preferred
from edgepress.curation._select.select import Order
from edgepress.errors import UserError
from edgepress.params import Config


class Keep(Config):
    """What every method that prunes asks for."""

    keep: float = Field(gt=0, le=1)
    """Share of the rows to keep, duplicates counted among the rows."""


class Clustered(Keep):
    """What every method that works on concepts asks for."""

    concepts: int | Literal["auto"]
    """Number of k-means concepts; auto is the cube root of the rows: 10 for 1,000, 464 for 10^8."""
    passes: int = Field(ge=1)
    """Lloyd steps over all rows, after the centroids have settled on a sample."""


class Pruned(Clustered):
    """What methods ask for that share the budget out over concepts."""

    floor: int = Field(ge=0)
    """Rows every concept keeps at least (all it has, where that is fewer)."""
    class_floor: int = Field(ge=0)
    """Rows every labelled class keeps at least, wherever they lie; 0 needs no labels."""
    deduplicate: float | None = Field(ge=0, le=1)
    """Cosine above which two rows of a concept are the same; null keeps duplicates."""
    duplicate_kept: Preferred
    """Which of two duplicates stays: the one nearest to its centroid or the farthest from it."""
    order: Order
    """Rows of a concept to keep: hard (farthest from the centroid), easy (nearest) or random."""


def budget(rows: int, keep: float) -> int:
    """Return the number of rows to keep: the nearest whole number, half up, and at least 1."""
    return max(1, math.floor(Fraction(str(keep)) * rows + Fraction(1, 2)))


def concepts(rows: int, asked: int | Literal["auto"]) -> int:
    """Return the number of concepts; more than there are rows is a UserError."""
    if asked == "auto":
        return max(1, round(math.cbrt(rows)))
    if not 1 <= asked <= rows:
        raise UserError(
            f"concepts: {asked} asked for, but there are {rows} rows; ask for 1 to {rows}"
        )
    return asked
