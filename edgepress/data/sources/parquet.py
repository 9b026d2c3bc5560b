"""Parquet files with an image column, Hugging-Face style or plain bytes; they are read in place.

https://huggingface.co/docs/datasets/image_dataset#parquet
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.image_column import image_column
from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import shards
from edgepress.data.walk import LeftOut
from edgepress.errors import UserError
from edgepress.params import Config

_BATCH = 65536


class Params(Config):
    """Which files and columns; a file name that starts with train, val or test tells its split."""

    method: Literal["parquet"]
    path: str
    """One .parquet file, or a folder whose .parquet files are taken together."""
    image: str
    """Column of encoded images: binary, or a struct with a binary field `bytes`."""
    label: str
    """Column of labels: integers or strings; Hugging-Face ClassLabel names are used if there."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """List the rows; nothing is copied into `folder`."""
    root = Path(params.path)
    left_out = LeftOut()
    files = shards(root, ".parquet", "ingest.source.path", left_out)
    base = root.parent if root.is_file() else root
    column = _column(files[0][0], params)
    for file, _ in files[1:]:
        if _column(file, params) != column:
            raise UserError(f"{file}: column {params.image!r} differs from that of {files[0][0]}")
    names = _class_names(files[0][0], params.label)
    values: list[Any] = list(range(len(names))) if names else _values(files, params.label)
    labels = {value: index for index, value in enumerate(values)}

    def entries() -> Iterator[Entry]:
        for file, split in files:
            prefix = file.relative_to(base).as_posix()
            for row, value in enumerate(_column_values(file, params.label)):
                label = labels.get(value)
                problem = None if label is not None else f"no label: {value} is none of the classes"
                name = f"{prefix}:{row}"
                yield Entry(name, file.as_posix(), label, split, row, problem=problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="parquet",
        inside=False,
        classes=tuple(names or map(str, values)),
        splits=frozenset(split for _, split in files if split is not None),
        entries=entries,
        column=column,
        left_out=left_out,
    )


def _open(file: Path) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: cannot be read as Parquet: {error}") from None


def _column(file: Path, params: Params) -> str:
    with _open(file) as opened:
        schema = opened.schema_arrow
    column = image_column(schema, params.image, file)
    if params.label not in schema.names:
        known = ", ".join(schema.names)
        raise UserError(f"{file}: has no column {params.label!r}; there are {known}")
    kind = schema.field(params.label).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise UserError(f"{file}: column {params.label!r} is {kind}; expected integers or strings")
    return column


def _class_names(file: Path, label: str) -> list[str]:
    """Return the ClassLabel names of the Hugging-Face metadata, empty where there are none."""
    with _open(file) as opened:
        metadata = opened.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        names = features[label]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    # ImageNet has two cranes, a bird and a machine: the later one carries its number.
    return [f"{n} ({i})" if n in names[:i] else str(n) for i, n in enumerate(names)]


def _values(files: list[tuple[Path, Any]], label: str) -> list[Any]:
    """Return the distinct labels of all files in ascending order."""
    found = {value for file, _ in files for value in _column_values(file, label)}
    return sorted(value for value in found if value is not None)


def _column_values(file: Path, name: str) -> Iterator[Any]:
    with _open(file) as opened:
        try:
            for batch in opened.iter_batches(_BATCH, columns=[name]):
                yield from batch.column(0).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file}: cannot be read as Parquet: {error}") from None
