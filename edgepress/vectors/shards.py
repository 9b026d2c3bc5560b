"""Shards: many files of embeddings read as one long array of rows, in the order they are given."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.vectors.formats import SUFFIXES, Halves, Shard, inspect

_GAP = 128
"""Unwanted rows that are read through rather than sought over."""
_RUN = 4096
"""Most rows of one read of `take`."""


@dataclass(frozen=True)
class Shards:
    """Vectors [rows, width] over files; every read is a run of rows and holds only that run."""

    parts: tuple[Shard, ...]

    @classmethod
    def open(cls, paths: Sequence[Path]) -> Shards:
        """Open files and folders of .npy, .npz and Parquet shards, checking headers only.

        A folder gives its shards in natural order (2 before 10); one with embeddings.npy and
        ids.parquet, or with img_emb/ and metadata/, brings ids along. Raises UserError where a
        shard is damaged or empty, or differs from the first in width, type or having ids.
        """
        files = [found for path in paths for found in _expand(path)]
        if not files:
            raise UserError("embeddings: no shards given; name files or folders of them")
        seen: set[Path] = set()
        for path, _ in files:
            if path.resolve() in seen:
                raise UserError(f"{path}: given twice, so its ids would repeat; name it once")
            seen.add(path.resolve())
        shards = cls(tuple(inspect(path, ids) for path, ids in files))
        shards._refuse_mixture()
        return shards

    @cached_property
    def starts(self) -> list[int]:
        """First global row of each shard, and the number of rows at the end."""
        ends = np.cumsum([part.rows for part in self.parts])
        return [0, *ends.tolist()]

    @property
    def rows(self) -> int:
        """Number of rows in all."""
        return self.starts[-1]

    @property
    def width(self) -> int:
        """Components of a vector."""
        return self.parts[0].width

    @property
    def dtype(self) -> str:
        """float16 or float32."""
        return self.parts[0].dtype

    @cached_property
    def fingerprint(self) -> str:
        """Hash of names, sizes and times of change: the same while the same files lie there."""
        facts = [(str(part.path.resolve()), part.stamp, part.member) for part in self.parts]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def runs(self, start: int, stop: int) -> Iterator[tuple[Shard, int, int]]:
        """Yield (shard, its first row, its end) that together make up global rows start..stop."""
        index = bisect_right(self.starts, start) - 1
        while start < stop:
            base, end = self.starts[index], min(stop, self.starts[index + 1])
            yield self.parts[index], start - base, end - base
            start, index = end, index + 1

    def read(self, start: int, stop: int) -> Halves:
        """Return global rows start..stop as stored, [stop - start, width]."""
        parts = [shard.read(first, last) for shard, first, last in self.runs(start, stop)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def take(self, rows: npt.NDArray[np.int64]) -> Iterator[Halves]:
        """Yield the given rows, ascending, in runs as stored, reading forward only."""
        far = np.diff(rows) > _GAP
        long = np.diff(rows // _RUN) > 0
        for run in np.split(rows, np.flatnonzero(far | long) + 1):
            first = int(run[0])
            yield self.read(first, int(run[-1]) + 1)[run - first]

    def where(self, row: int) -> str:
        """Name a global row as the user knows it: file and row in the file."""
        shard, first, _ = next(self.runs(row, row + 1))
        return f"{shard.path}: row {first}"

    def _refuse_mixture(self) -> None:
        first = self.parts[0]
        for part in self.parts[1:]:
            if part.width != first.width:
                raise UserError(
                    f"{part.path}: {part.width} wide, but {first.path} is {first.width}; "
                    "all shards must come from one encoder"
                )
            if part.dtype != first.dtype:
                raise UserError(
                    f"{part.path}: {part.dtype}, but {first.path} is {first.dtype}; cast one"
                )
            if (part.ids is None) != (first.ids is None):
                lacking, having = (part, first) if part.ids is None else (first, part)
                raise UserError(
                    f"{lacking.path}: has no ids, but {having.path} has; give all or none"
                )


def natural(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key that puts part_2 before part_10."""
    pieces: Iterable[str] = re.split(r"(\d+)", path.name)
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in pieces]


def _expand(path: Path) -> list[tuple[Path, tuple[Path, str] | None]]:
    """Return the shards below a path, each with the file and column of its ids if it has one.

    An empty column stands for the first of `parquet.ID_COLUMNS` that the file has.
    """
    if not path.is_dir():
        return [(path, None)]
    if (path / "embeddings.npy").is_file() and (path / "ids.parquet").is_file():
        return [(path / "embeddings.npy", (path / "ids.parquet", ""))]
    if (path / "img_emb").is_dir():
        return [(file, _metadata(path, file)) for file in _listed(path / "img_emb")]
    return [(file, None) for file in _listed(path)]


def _listed(folder: Path) -> list[Path]:
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")
    ]
    if not files:
        raise UserError(f"{folder}: no {', '.join(SUFFIXES)} in this folder; name another")
    return sorted(files, key=natural)


def _metadata(root: Path, shard: Path) -> tuple[Path, str] | None:
    """Return img_emb/img_emb_7.npy's companion metadata/metadata_7.parquet, where there is one."""
    folder = root / "metadata"
    if not folder.is_dir():
        return None
    number = re.search(r"(\d+)$", shard.stem)
    path = folder / f"metadata_{number.group(1) if number else ''}.parquet"
    if not path.is_file():
        raise UserError(
            f"{path}: file not found, so {shard} has no ids; restore or remove metadata/"
        )
    return path, ""
