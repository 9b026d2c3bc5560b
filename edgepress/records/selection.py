"""Selection: which rows a curation method keeps and why, with the numbers of every concept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from edgepress.errors import UserError
from edgepress.records.named import Named
from edgepress.records.record import Record, sha256_file

TABLE = "selection.parquet"
REASONS = ("chosen", "class-floor", "duplicate", "over-quota")
"""Why a row is kept (the first two) or dropped; the code of a reason is its place here."""
CHOSEN, CLASS_FLOOR, DUPLICATE, OVER_QUOTA = range(4)


def schema(ids: pa.DataType) -> pa.Schema:
    """Return the table's columns for ids of the given type: string, or int64 row numbers."""
    return pa.schema(
        [
            pa.field("id", ids, nullable=False),
            pa.field("concept", pa.int32(), nullable=False),
            pa.field("distance", pa.float32()),
            pa.field("kept", pa.bool_(), nullable=False),
            pa.field("reason", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        ]
    )


class Concept(BaseModel):
    """One concept: its size, its share of the budget and what the share came from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    index: int
    size: int
    """Rows in the concept that are no duplicates."""
    duplicates: int
    """Rows of the concept dropped as duplicates before the quota."""
    quota: int
    kept: int
    d_intra: float | None
    """Mean cosine distance of the members to the centroid."""
    d_inter: float | None
    """Mean cosine distance of the centroid to its nearest centroids."""
    complexity: float | None
    """d_intra * d_inter."""
    probability: float | None
    """Share of the budget the method asked for."""


@dataclass(frozen=True)
class SelectionTable:
    """The per-row part, all of length N: distance is float32, NaN where the method has none."""

    ids: list[str] | list[int]
    concept: npt.NDArray[np.int32]
    distance: npt.NDArray[np.float32]
    kept: npt.NDArray[np.bool_]
    reason: list[str]


class Selection(Record):
    """A folder: selection.json and selection.parquet (id, concept, distance, kept, reason)."""

    file_name: ClassVar[str] = "selection.json"

    method: str
    params: dict[str, Any]
    """The method's parameters as they were used."""
    seed: int
    rows: int = Field(gt=0)
    budget: int = Field(gt=0)
    """Rows to keep; the table keeps exactly this many."""
    temperature: float | None
    order: Literal["hard", "easy", "random"] | None
    """Which rows of a concept come first: farthest from the centroid, nearest, or any."""
    concepts: tuple[Concept, ...]
    table_sha256: str
    """sha256 of selection.parquet."""

    @classmethod
    def save(
        cls, folder: Path, batches: Iterable[pa.RecordBatch], facts: Mapping[str, Any]
    ) -> Self:
        """Stream `batches` (see `schema`) and write the record; `facts` are its other fields.

        Raises UserError where the table does not hold `rows` rows, or does not keep exactly
        `budget` of them, or a concept's quota; nothing is left behind then.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / TABLE
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            kept, rows = _write_table(partial, batches, len(facts["concepts"]))
            record = cls(**facts, table_sha256=sha256_file(partial))
            record._refuse_miscount(kept, rows)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        record.write(folder)
        return record

    def table(self, folder: Path) -> SelectionTable:
        """Read selection.parquet of `folder` whole; a changed file is a UserError."""
        with self._opened(folder) as file:
            table = file.read()
        distance = table["distance"].to_numpy()
        return SelectionTable(
            ids=table["id"].to_pylist(),
            concept=table["concept"].to_numpy().astype(np.int32),
            distance=distance.astype(np.float32),
            kept=table["kept"].to_numpy().astype(np.bool_),
            reason=table["reason"].to_pylist(),
        )

    def batches(
        self, folder: Path, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield selection.parquet of `folder` in row order, 65,536 rows or fewer at a time.

        `columns` are all where none are named; a changed file is a UserError.
        """
        with self._opened(folder) as file:
            yield from file.iter_batches(columns=columns)

    def kept(self, folder: Path) -> npt.NDArray[np.bool_]:
        """Return the mask of rows kept, bool [rows]."""
        found = [kept_rows(batch) for batch in self.batches(folder, ["kept"])]
        return np.concatenate(found)

    def kept_ids(self, folder: Path) -> list[str]:
        """Return the ids of the rows kept, as strings, in the table's order."""
        names: list[str] = []
        for batch in self.batches(folder, ["id", "kept"]):
            # Lists, as Array.take and filter import pandas.
            rows = zip(batch.column("id").to_pylist(), kept_rows(batch), strict=True)
            names += [str(name) for name, kept in rows if kept]
        return names

    def _opened(self, folder: Path) -> pq.ParquetFile:
        named = Named(folder / TABLE, self.table_sha256, self.file_name, "run curate again")
        return pq.ParquetFile(named.checked())  # pq.read_table would import pandas

    def _refuse_miscount(self, kept: npt.NDArray[np.int64], rows: int) -> None:
        if rows != self.rows:
            raise UserError(f"selection: {rows} rows written, {self.rows} expected")
        if int(kept.sum()) != self.budget:
            raise UserError(f"selection: {int(kept.sum())} rows kept, the budget is {self.budget}")
        for concept in self.concepts:
            if kept[concept.index] != concept.kept or concept.kept != concept.quota:
                raise UserError(
                    f"selection: concept {concept.index}: {kept[concept.index]} rows kept, "
                    f"the quota is {concept.quota}"
                )


def kept_rows(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Return the column `kept` of a batch of the table, bool [rows of the batch]."""
    column = batch.column("kept")
    # By its buffer, as to_numpy would import pandas.
    bits = np.frombuffer(column.buffers()[1], np.uint8)
    mask = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")
    return mask[column.offset :].astype(np.bool_)


def concept_rows(batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
    """Return the column `concept` of a batch of the table, int32 [rows of the batch]."""
    column = batch.column("concept")
    return np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: len(column)]


def _write_table(
    path: Path, batches: Iterable[pa.RecordBatch], concepts: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Write the batches and return how many rows each concept keeps, and the rows in all."""
    kept = np.zeros(concepts, np.int64)
    rows = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches:
            if writer is None:
                writer = pq.ParquetWriter(path, batch.schema, compression="zstd")
            writer.write_batch(batch)
            mask = kept_rows(batch)
            chosen = concept_rows(batch)[mask]
            if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < concepts:
                raise UserError(f"selection: a kept row's concept is not one of {concepts}")
            kept += np.bincount(chosen, minlength=concepts)
            rows += len(mask)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise UserError("selection: no rows to write; the input is empty")
    return kept, rows
