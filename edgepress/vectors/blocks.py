"""Blocks of rows, ready for arithmetic whose result does not depend on who computes what.

Rows are always cut at the same global row numbers, whatever the shards, chunks and workers, so
every matrix product has the same operands and shape. Sums leave a unit as fixed-point integers,
whose addition is exact: in which order units are added makes no difference either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.vectors.formats import Halves
from edgepress.vectors.shards import Shards

BLOCK = 1024
"""Rows of one matrix product."""
UNIT = 8 * BLOCK
"""Rows added up in floating point before the sum becomes whole numbers."""
FIXED = float(2**31)
"""Fixed-point scale of sums of components and cosines: room for 2^32 rows, steps of 5e-10."""

Floats = npt.NDArray[np.float32]
_TILE = 2048


@dataclass(frozen=True)
class Space:
    """Arrays that one thread fills anew for every block; fresh ones would fault page by page."""

    rows: Floats
    """float32 [BLOCK, D]."""
    cosines: Floats
    """float32 [BLOCK, centroids of a tile]."""

    @classmethod
    def beside(cls, centroids: Floats) -> Space:
        """Return space for blocks compared with centroids [k, D]."""
        count, width = centroids.shape
        shapes = (BLOCK, width), (BLOCK, min(count, _TILE))
        return cls(*(np.empty(shape, np.float32) for shape in shapes))


def units(rows: int) -> int:
    """Return the number of units of `rows` rows."""
    return -(-rows // UNIT)


def load(shards: Shards, start: int, stop: int, out: Floats | None = None) -> Floats:
    """Return rows start..stop scaled to length 1, float32; bad rows are a UserError naming them.

    They lie in the first rows of `out` where it is given.
    """
    return scaled(shards.read(start, stop), lambda row: shards.where(start + row), out)


def scaled(raw: Halves, where: Callable[[int], str], out: Floats | None = None) -> Floats:
    """Return rows scaled to length 1, float32; `where` names a row that has no direction."""
    out = _widen(raw, np.empty(raw.shape, np.float32) if out is None else out[: len(raw)])
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", out, out)
        # Far from these bounds float32 squares are safe; a half's infinity became 65536.
        plain = (squares > 1e-20) & (squares < 4e9)
        for row in np.flatnonzero(~plain).tolist():
            out[row] = _rescued(raw[row], where(row))
            squares[row] = 1.0
    np.multiply(out, (1.0 / np.sqrt(squares))[:, None], out=out)
    return out


def nearest(rows: Floats, centroids: Floats, space: Floats) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return each row's closest centroid, int32, and its cosine, float32; of equals the lower.

    `space` is that of `Space.cosines` and is overwritten.
    """
    labels = np.zeros(len(rows), np.int32)
    best = np.full(len(rows), -np.inf, np.float32)
    index = np.arange(len(rows))
    for first in range(0, len(centroids), _TILE):
        tile = centroids[first : first + _TILE]
        cosines = np.matmul(rows, tile.T, out=space[: len(rows), : len(tile)])
        found = cosines.argmax(axis=1)
        values = cosines[index, found]
        better = values > best
        labels[better] = found[better] + first
        best[better] = values[better]
    return labels, best


def _widen(raw: Halves, out: Floats) -> Floats:
    """Turn halves to floats by moving bits, five times as fast as a cast; infinity gives 65536."""
    if raw.dtype == np.float32:
        np.copyto(out, raw)
        return out
    bits = out.view(np.int32)
    np.copyto(bits, raw.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)
    np.multiply(out, np.float32(2.0**112), out=out)
    return out


def _rescued(row: Halves, where: str) -> npt.NDArray[np.float64]:
    """Scale a row of extreme length in float64; refuse one that has no direction."""
    exact = row.astype(np.float64)
    broken = exact[~np.isfinite(exact)]
    if broken.size:
        raise UserError(f"{where}: holds {broken[0]}; embed that image again or drop the row")
    length = float(np.sqrt((exact * exact).sum()))
    if length == 0.0:
        raise UserError(
            f"{where}: a zero vector has no direction; embed that image again or drop the row"
        )
    return exact / length
