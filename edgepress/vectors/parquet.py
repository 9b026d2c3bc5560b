"""Parquet shards: which column holds the vectors, and row groups decoded in runs of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.errors import UserError
from edgepress.vectors.cursor import Rows, run_rows

ID_COLUMNS = ("id", "key", "image_path")
"""Columns taken for ids, in this order."""
VECTOR_NAMES = ("embeddings", "embedding", "vectors", "vector", "arr_0")
"""Columns, or arrays of an .npz file, taken for the vectors, in this order."""

_BUFFER = 1 << 16


@dataclass(frozen=True)
class Layout:
    """What a footer says of the vectors; `pieces` are the first rows of groups, and the end."""

    rows: int
    width: int
    dtype: np.dtype[Any]
    column: str
    pieces: tuple[int, ...]
    id_column: str
    """Empty where there is none."""


def opened(path: Path) -> pq.ParquetFile:
    """Open a file so that it is read page by page; by default Arrow takes in whole columns."""
    return pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def named(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column by its exact name: Arrow also reads those whose names go on after a dot."""
    return batch.column(batch.schema.get_field_index(name))


def layout(path: Path) -> Layout:
    """Find the column of vectors by name, else the first of float lists; none is a UserError."""
    with opened(path) as file:
        schema, meta = file.schema_arrow, file.metadata
        lists = [field.name for field in schema if _is_vector(field.type)]
        named = [name for name in VECTOR_NAMES if name in lists] or lists
        if not named:
            raise UserError(f"{path}: no column of float16 or float32 lists; add one")
        kind = schema.field(named[0]).type
        groups = [meta.row_group(index).num_rows for index in range(meta.num_row_groups)]
        fixed = pa.types.is_fixed_size_list(kind)
        width = kind.list_size if fixed else _first_width(file, named[0], path)
    return Layout(
        meta.num_rows,
        width,
        np.dtype(kind.value_type.to_pandas_dtype()),
        named[0],
        (0, *np.cumsum(groups).astype(int).tolist()),
        next((name for name in ID_COLUMNS if name in schema.names), ""),
    )


def runs(path: Path, name: str, group: int, width: int) -> Iterator[Rows]:
    """Decode a row group from its first row on, a few rows [n, width] at a time.

    A vector that is missing, incomplete or of another width is a UserError.
    """
    with opened(path) as file:
        row = sum(file.metadata.row_group(index).num_rows for index in range(group))
        batches = file.iter_batches(run_rows(width), [group], [name], use_threads=False)
        for batch in batches:
            yield _vectors(named(batch, name), width, (path, row))
            row += len(batch)


def _vectors(column: pa.Array, width: int, place: tuple[Path, int]) -> Rows:
    """Return lists as an array [rows, width]; `place` is the file and the row of the first."""
    path, first = place
    if column.null_count:
        row = first + _first_null(column)
        raise UserError(f"{path}: row {row}: the vector is missing; drop or fill the row")
    if not pa.types.is_fixed_size_list(column.type):
        widths = column.value_lengths().to_numpy()
        odd = np.flatnonzero(widths != width)
        if odd.size:
            raise _odd(int(widths[odd[0]]), width, (path, first + int(odd[0])))
    values = column.flatten()
    if values.null_count:
        row = first + _first_null(values) // width
        raise UserError(f"{path}: row {row}: a component is missing; drop or fill the row")
    flat: Rows = values.to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), width)


def _first_null(values: pa.Array) -> int:
    return int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])


def _odd(found: int, width: int, place: tuple[Path, int]) -> UserError:
    path, row = place
    if found == 0:
        return UserError(f"{path}: row {row}: the vector is empty; drop or fill the row")
    return UserError(
        f"{path}: row {row}: {found} wide, the first row {width}; all vectors must be of one width"
    )


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    listed = listed or pa.types.is_large_list(kind)
    return bool(listed and pa.types.is_floating(kind.value_type))


def _first_width(file: pq.ParquetFile, column: str, path: Path) -> int:
    """Return the length of the first list, 1 where there is no row at all."""
    for batch in file.iter_batches(batch_size=1, columns=[column], use_threads=False):
        first = named(batch, column)[0].as_py()
        if not first:
            fault = "missing" if first is None else "empty"
            raise UserError(f"{path}: row 0: the vector is {fault}; drop or fill the row")
        return len(first)
    return 1
