"""The column of encoded images in a Parquet file: plain bytes, or Hugging Face's struct."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from edgepress.errors import UserError


def image_column(schema: Any, name: str, file: Path) -> str:
    """Return the dotted path of the bytes of column `name`; another type is a UserError."""
    if name not in schema.names:
        raise UserError(f"{file}: has no column {name!r}; there are {', '.join(schema.names)}")
    kind = schema.field(name).type
    if _is_bytes(kind):
        return name
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{name}.bytes"
    raise UserError(f"{file}: column {name!r} is {kind}; expected binary, or a struct with `bytes`")


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
