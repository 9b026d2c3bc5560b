"""Embeddings made elsewhere: an .npy matrix with a text file of ids, one line per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.vectors import npy

_BATCH = 8192


class Params(Config):
    """Where the files are."""

    method: Literal["precomputed"]
    embeddings: str
    """Path of an .npy file, float16 or float32 [N, D]."""
    ids: str
    """Path of a text file with the manifest id of each row, in the same order."""


@dataclass(frozen=True)
class Lookup:
    """Vectors made elsewhere, found by image id."""

    matrix: npt.NDArray[np.floating]
    rows: dict[str, int]
    ids: str
    """Path of the file of ids, for messages."""

    def embed(self, images: ImageSet) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the rows of the images, in their order; an id without a row is a UserError."""
        missing = [name for name in images.ids if name not in self.rows]
        if missing:
            raise UserError(
                f"{self.ids}: no row for {len(missing)} manifest images, first {missing[0]!r}; "
                "embed them too"
            )
        picked = np.array([self.rows[name] for name in images.ids])
        for start in range(0, len(picked), _BATCH):
            yield np.asarray(self.matrix[picked[start : start + _BATCH]], np.float32)


def fit(request: Request, *, params: Params) -> Lookup:
    """Open the files."""
    matrix, ids = _read(Path(params.embeddings), Path(params.ids))
    return Lookup(matrix, {name: row for row, name in enumerate(ids)}, params.ids)


def _read(embeddings: Path, ids: Path) -> tuple[npt.NDArray[np.floating], list[str]]:
    matrix = npy.array(embeddings)
    try:
        names = ids.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: file not found; see embed in params.yaml") from None
    except (OSError, ValueError) as error:
        clause = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(f"{ids}: cannot be read: {clause}; write an id per line") from None
    if matrix.ndim != 2 or matrix.dtype not in (np.float16, np.float32):
        raise UserError(
            f"{embeddings}: expected float16 or float32 [N, D], "
            f"got {matrix.dtype} {list(matrix.shape)}"
        )
    if len(names) != len(matrix):
        raise UserError(f"{ids}: {len(names)} ids for the {len(matrix)} rows of {embeddings}")
    return matrix, names
