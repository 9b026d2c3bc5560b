"""The manifest's table: its columns, a writer of row groups, a reader that checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.errors import UserError
from edgepress.records.manifest import TABLE

_BEFORE = pa.schema(
    [
        ("id", pa.string()),  # stable and readable
        ("path", pa.string()),  # file or container, see Manifest.inside
        ("row", pa.int64()),  # row in a Parquet container
        ("offset", pa.int64()),  # first byte in a tar
        ("length", pa.int64()),  # bytes in a tar
        ("group", pa.string()),  # what it was drawn with; null where it is a group of its own
        ("split", pa.string()),  # train, val or test
    ]
)
_AFTER = pa.schema(
    [
        ("classes", pa.list_(pa.int32())),  # what the item counts for
        ("crop", pa.list_(pa.int32())),  # left, top, right, bottom, upright; null is all of it
        ("width", pa.int32()),  # pixels of what is shown, upright; null where quarantined
        ("height", pa.int32()),
        ("channels", pa.int8()),  # 1 or 3 once converted to 8 bits
        ("mode", pa.string()),  # Pillow's mode in the file
        ("sha256", pa.string()),  # of the encoded bytes
        ("phash", pa.uint64()),  # perceptual hash of what is shown
        ("status", pa.string()),  # ok or quarantined
        ("reason", pa.string()),  # `kind: detail`, empty where ok
    ]
)

NAMES = (*_BEFORE.names, "label", *_AFTER.names)
"""The columns in order; `label` has the type of the task's schema, null where quarantined."""

_GROUP = 8192


def schema(label: pa.DataType) -> pa.Schema:
    """Return the table's schema for labels of a type."""
    return pa.schema([*_BEFORE, pa.field("label", label), *_AFTER])


class Writer:
    """Collects rows and writes them a row group at a time."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        """Write to an open pyarrow ParquetWriter of that schema."""
        self._file = file
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; its keys are the schema's columns."""
        self._rows.append(row)
        if len(self._rows) == _GROUP:
            self.flush()

    def add_table(self, table: Any) -> None:
        """Append a pyarrow table of the schema."""
        self.flush()
        self._file.write_table(table)

    def flush(self) -> None:
        """Write the collected rows."""
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows = []


@contextmanager
def writing(folder: Path, label: pa.DataType, name: str = TABLE) -> Iterator[Writer]:
    """Yield a Writer of a manifest's table below `folder` for labels of a type."""
    columns = schema(label)
    with pq.ParquetWriter(folder / name, columns, compression="zstd") as file:
        writer = Writer(file, columns)
        yield writer
        writer.flush()


def read_table(folder: Path) -> Any:
    """Return the manifest's table (pyarrow); a missing, damaged or foreign one is a UserError."""
    with open_table(folder, NAMES) as file:
        try:
            return file.read(list(NAMES)).select(list(NAMES))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(folder, error) from None


def open_table(folder: Path, names: Sequence[str]) -> Any:
    """Open the manifest's table (pyarrow's ParquetFile), which has columns of these names."""
    path = folder / TABLE
    try:
        file = pq.ParquetFile(path)  # pq.read_table would import pandas, 2 s
    except FileNotFoundError:
        raise UserError(f"{path}: file not found; run the ingest stage") from None
    except (pa.ArrowException, OSError) as error:
        raise unreadable(folder, error) from None
    missing = [name for name in names if name not in file.schema_arrow.names]
    if missing:
        file.close()
        raise UserError(f"{path}: lacks the column {missing[0]}; run the ingest stage anew")
    return file


def unreadable(folder: Path, error: Exception) -> UserError:
    """Return what is said of a table that cannot be read."""
    return UserError(f"{folder / TABLE}: cannot be read: {error}; run the ingest stage anew")
