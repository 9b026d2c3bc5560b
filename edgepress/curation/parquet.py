"""Parquet shards: which column holds the vectors, and row groups decoded to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.errors import UserError

ID_COLUMNS = ("id", "key", "image_path")
"""Columns taken for ids, in this order."""
VECTOR_NAMES = ("embeddings", "embedding", "vectors", "vector", "arr_0")
"""Columns, or arrays of an .npz file, taken for the vectors, in this order."""


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


def layout(path: Path) -> Layout:
    """Find the column of vectors by name, else the first of float lists; none is a UserError."""
    with pq.ParquetFile(path) as file:
        schema, meta = file.schema_arrow, file.metadata
        lists = [field.name for field in schema if _is_vector(field.type)]
        named = [name for name in VECTOR_NAMES if name in lists] or lists
        if not named:
            raise UserError(f"{path}: no column of float16 or float32 lists; add one")
        kind = schema.field(named[0]).type
        groups = [meta.row_group(index).num_rows for index in range(meta.num_row_groups)]
        fixed = pa.types.is_fixed_size_list(kind)
        width = kind.list_size if fixed else _first_width(file, named[0])
    return Layout(
        meta.num_rows,
        width,
        np.dtype(kind.value_type.to_pandas_dtype()),
        named[0],
        (0, *np.cumsum(groups).astype(int).tolist()),
        next((name for name in ID_COLUMNS if name in schema.names), ""),
    )


def read_group(path: Path, name: str, group: int, width: int) -> npt.NDArray[np.floating[Any]]:
    """Decode one row group to [rows, width]; a missing or odd vector is a UserError."""
    with pq.ParquetFile(path) as file:
        before = sum(file.metadata.row_group(index).num_rows for index in range(group))
        column = file.read_row_group(group, columns=[name]).column(0).combine_chunks()
    if column.null_count:
        row = before + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise UserError(f"{path}: row {row}: the vector is missing; drop or fill the row")
    if not pa.types.is_fixed_size_list(column.type):
        widths = column.value_lengths().to_numpy()
        odd = np.flatnonzero(widths != width)
        if odd.size:
            first = int(odd[0])
            raise UserError(
                f"{path}: row {before + first}: {widths[first]} wide, the first row {width}; "
                "all vectors must be of one width"
            )
    values = column.flatten()
    if values.null_count:
        nulls = values.is_null().to_numpy(zero_copy_only=False)
        row = before + int(np.flatnonzero(nulls)[0]) // width
        raise UserError(f"{path}: row {row}: a component is missing; drop or fill the row")
    flat: npt.NDArray[np.floating[Any]] = values.to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), width)


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    listed = listed or pa.types.is_large_list(kind)
    return bool(listed and pa.types.is_floating(kind.value_type))


def _first_width(file: pq.ParquetFile, column: str) -> int:
    for batch in file.iter_batches(batch_size=1, columns=[column]):
        first = batch.column(0)[0].as_py()
        return len(first) if first else 1
    return 1
