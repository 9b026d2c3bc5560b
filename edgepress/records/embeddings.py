"""Embeddings: one vector per image on disk, ids in the same order, and the encoder behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from edgepress.errors import UserError
from edgepress.records.named import Named
from edgepress.records.record import Record, sha256_file

VECTORS = "embeddings.npy"
IDS = "ids.parquet"

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float16]


@dataclass(frozen=True)
class OpenEmbeddings:
    """Embeddings ready to read: the record, memory-mapped vectors [N, D] and N ids."""

    record: Embeddings
    vectors: Floats
    ids: list[str]


class Embeddings(Record):
    """A folder: embeddings.json, embeddings.npy (float16 or float32, [N, D]) and ids.parquet."""

    file_name: ClassVar[str] = "embeddings.json"

    encoder: str
    """Name of the encoder's method."""
    encoder_sha256: str
    """Hash of everything that shaped the encoder: its parameters and weights."""
    dtype: Literal["float16", "float32"]
    rows: int = Field(gt=0)
    width: int = Field(gt=0)
    """Components of one vector."""
    vectors_sha256: str
    """sha256 of embeddings.npy."""
    ids_sha256: str
    """sha256 of ids.parquet."""

    @classmethod
    def create(
        cls,
        folder: Path,
        vectors: Floats | Iterable[Floats],
        ids: Sequence[str],
        *,
        encoder: str,
        encoder_sha256: str,
    ) -> Self:
        """Write vectors [N, D], whole or as an iterable of batches [B, D], in the order of `ids`.

        Batches are streamed, so memory holds one of them. Raises UserError where rows and ids do
        not agree, a batch changes width or type, or a vector is not finite.
        """
        batches = [vectors] if isinstance(vectors, np.ndarray) else vectors
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_repeats(ids)
        dtype, width = _write_vectors(folder / VECTORS, batches, ids)
        table = pa.table({"id": pa.array(list(ids), pa.string())})
        with _atomic(folder / IDS) as partial:
            pq.write_table(table, partial)
        record = cls(
            encoder=encoder,
            encoder_sha256=encoder_sha256,
            dtype=cast(Literal["float16", "float32"], dtype.name),
            rows=len(ids),
            width=width,
            vectors_sha256=sha256_file(folder / VECTORS),
            ids_sha256=sha256_file(folder / IDS),
        )
        record.write(folder)
        return record

    @classmethod
    def open(cls, folder: Path) -> OpenEmbeddings:
        """Open a folder written by `create`, vectors memory-mapped; refuse a changed file."""
        record = cls.read(folder)
        hashes = {VECTORS: record.vectors_sha256, IDS: record.ids_sha256}
        paths = [
            Named(folder / name, expected, cls.file_name, "run embed again").checked()
            for name, expected in hashes.items()
        ]
        vectors = np.load(paths[0], mmap_mode="r", allow_pickle=False)
        ids = _read_ids(paths[1])
        if vectors.shape != (record.rows, record.width) or len(ids) != record.rows:
            raise UserError(
                f"{folder}: embeddings.json says {record.rows} x {record.width}, the files hold "
                f"{vectors.shape} and {len(ids)} ids; run embed again"
            )
        return OpenEmbeddings(record, vectors, ids)


def _read_ids(path: Path) -> list[str]:
    with pq.ParquetFile(path) as file:  # pq.read_table would import pandas
        names: list[str] = file.read(["id"])["id"].to_pylist()
    return names


def _write_vectors(
    path: Path, batches: Iterable[Floats], ids: Sequence[str]
) -> tuple[np.dtype[np.float16] | np.dtype[np.float32], int]:
    """Stream batches into one .npy file and return its dtype and width."""
    target: np.memmap | None = None
    done = 0
    with _atomic(path) as partial:
        for batch in batches:
            if target is None:
                if batch.ndim != 2 or batch.dtype.name not in ("float16", "float32"):
                    raise UserError(
                        f"embeddings: expected float16 or float32 [B, D], got {batch.dtype} "
                        f"{batch.shape}; cast them in the encoder"
                    )
                shape = (len(ids), batch.shape[1])
                target = np.lib.format.open_memmap(
                    partial, mode="w+", dtype=batch.dtype, shape=shape
                )
            _check_batch(batch, target, done, ids)
            target[done : done + len(batch)] = batch
            done += len(batch)
        if target is None or done != len(ids):
            raise UserError(f"embeddings: {done} vectors for {len(ids)} ids; one vector per id")
        target.flush()
    return target.dtype, target.shape[1]


def _check_batch(batch: Floats, target: np.memmap, done: int, ids: Sequence[str]) -> None:
    if batch.dtype != target.dtype or batch.shape[1:] != target.shape[1:]:
        raise UserError(
            f"embeddings: row {done}: {batch.dtype} {batch.shape[1:]} after {target.dtype} "
            f"{target.shape[1:]}; all batches must share type and width"
        )
    if done + len(batch) > len(target):
        raise UserError(f"embeddings: more vectors than the {len(target)} ids; one vector per id")
    broken = np.flatnonzero(~np.isfinite(batch).all(axis=1))
    if broken.size:
        raise UserError(
            f"embeddings: the vector of image {ids[done + int(broken[0])]!r} is not finite; "
            "look at that image or lower the encoder's learning rate"
        )


def _refuse_repeats(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if name in seen:
            raise UserError(f"embeddings: row {row}: id {name!r} is repeated; ids must be unique")
        seen.add(name)


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
