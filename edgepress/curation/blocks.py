"""Blocks of rows, ready for arithmetic whose result does not depend on who computes what.

Rows are always cut at the same global row numbers, whatever the shards, chunks and workers, so
every matrix product has the same operands and shape. Sums leave a unit as fixed-point integers,
whose addition is exact: in which order units are added makes no difference either.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgepress.curation.formats import Halves
from edgepress.curation.shards import Shards
from edgepress.errors import UserError

BLOCK = 1024
"""Rows of one matrix product."""
UNIT = 8 * BLOCK
"""Rows added up in floating point before the sum becomes whole numbers."""
FIXED = float(2**31)
"""Fixed-point scale of sums of components and cosines: room for 2^32 rows, steps of 5e-10."""

Floats = npt.NDArray[np.float32]
_TILE = 2048


def units(rows: int) -> int:
    """Return the number of units of `rows` rows."""
    return -(-rows // UNIT)


def load(shards: Shards, start: int, stop: int) -> Floats:
    """Return rows start..stop scaled to length 1, float32; bad rows are a UserError naming them."""
    return scaled(shards.read(start, stop), lambda row: shards.where(start + row))


def scaled(raw: Halves, where: Callable[[int], str]) -> Floats:
    """Return rows scaled to length 1, float32; `where` names a row that has no direction."""
    out = _widen(raw)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", out, out)
        # Far from these bounds float32 squares are safe; a half's infinity became 65536.
        plain = (squares > 1e-20) & (squares < 4e9)
        for row in np.flatnonzero(~plain).tolist():
            out[row] = _rescued(raw[row], where(row))
            squares[row] = 1.0
    np.multiply(out, (1.0 / np.sqrt(squares))[:, None], out=out)
    return out


def nearest(rows: Floats, centroids: Floats) -> tuple[npt.NDArray[np.int32], Floats]:
    """Return each row's closest centroid, int32, and its cosine, float32; of equals the lower."""
    labels = np.zeros(len(rows), np.int32)
    best = np.full(len(rows), -np.inf, np.float32)
    index = np.arange(len(rows))
    for first in range(0, len(centroids), _TILE):
        cosines = rows @ centroids[first : first + _TILE].T
        found = cosines.argmax(axis=1)
        values = cosines[index, found]
        better = values > best
        labels[better] = found[better] + first
        best[better] = values[better]
    return labels, best


def _widen(raw: Halves) -> Floats:
    """Turn halves to floats by moving bits, five times as fast as a cast; infinity gives 65536."""
    if raw.dtype == np.float32:
        return np.array(raw, np.float32)
    out = np.empty(raw.shape, np.float32)
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
