"""The column of encoded images in a Parquet file: plain bytes, or Hugging Face's struct.

A column is known by its exact name, which may hold dots; what it is, each file says for itself.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_BYTES = "bytes"


def column_problem(schema: Any, name: str) -> str | None:
    """Return why `name` does not name one column of an Arrow schema, None where it does."""
    found = schema.names.count(name)
    if found == 0:
        return f"has no column {name!r}; there are {', '.join(schema.names)}"
    return f"has {found} columns {name!r}; rename all but one" if found > 1 else None


def image_problem(schema: Any, name: str) -> str | None:
    """Return why column `name` of an Arrow schema holds no encoded images, None where it does."""
    problem = column_problem(schema, name)
    if problem is not None:
        return problem
    kind = schema.field(schema.get_field_index(name)).type
    if _is_bytes(kind) or _is_struct(kind):
        return None
    return f"column {name!r} is {kind}; expected binary, or a struct with `bytes`"


def encoded(batch: Any, name: str) -> Any:
    """Return the encoded images of a batch as a binary array; null where there is none."""
    column = batch.column(batch.schema.get_field_index(name))
    return pc.struct_field(column, _BYTES) if _is_struct(column.type) else column


def _is_struct(kind: Any) -> bool:
    if not pa.types.is_struct(kind):
        return False
    index = kind.get_field_index(_BYTES)
    return index >= 0 and _is_bytes(kind.field(index).type)


def _is_bytes(kind: Any) -> bool:
    plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(plain or pa.types.is_binary_view(kind))
