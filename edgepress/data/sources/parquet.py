"""Parquet files with an image column, Hugging-Face style or plain bytes; they are read in place.

https://huggingface.co/docs/datasets/image_dataset#parquet
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.image_column import column_problem, image_problem
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


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the rows; nothing is copied into `folder`."""
    root = Path(params.path)
    left_out = LeftOut()
    files = shards(root, ".parquet", "ingest.source.path", left_out)
    base = root.parent if root.is_file() else root
    columns = [_column(file, params) for file, _ in files]
    for column in columns[1:]:
        _refuse_mixture(column, columns[0], params.label)
    classes, numbers = _classes(columns)

    def entries() -> Iterator[Entry]:
        for (file, split), column, known in zip(files, columns, numbers, strict=True):
            prefix = file.relative_to(base).as_posix()
            for row, value in enumerate(column.values()):
                label = known.get(value)
                problem = None if label is not None else f"no label: {value} is none of the classes"
                name = f"{prefix}:{row}"
                yield Entry(name, file.as_posix(), label, split, row, problem=problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="parquet",
        inside=False,
        classes=classes,
        splits=frozenset(split for _, split in files if split is not None),
        entries=entries,
        column=params.image,
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Column:
    """The labels of one file, as its own schema describes them."""

    file: Path
    name: str
    type: str
    strings: bool
    names: tuple[str, ...]
    """What the numbers stand for; empty where the file does not say."""

    @property
    def kind(self) -> str:
        if self.names:
            return f"numbers of {len(self.names)} named classes"
        return f"{'strings' if self.strings else 'numbers without names'} ({self.type})"

    def values(self) -> Iterator[Any]:
        with _open(self.file) as opened:
            try:
                for batch in opened.iter_batches(_BATCH, columns=[self.name]):
                    index = batch.schema.get_field_index(self.name)
                    yield from batch.column(index).to_pylist()
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{self.file}: cannot be read as Parquet: {error}") from None


def _open(file: Path) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: cannot be read as Parquet: {error}") from None


def _column(file: Path, params: Params) -> _Column:
    with _open(file) as opened:
        schema = opened.schema_arrow
    name = params.label
    problem = image_problem(schema, params.image) or column_problem(schema, name)
    if problem is not None:
        raise UserError(f"{file}: {problem}")
    kind = schema.field(schema.get_field_index(name)).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    strings = any(each(kind) for each in text)
    if not strings and not pa.types.is_integer(kind):
        raise UserError(f"{file}: column {name!r} is {kind}; expected integers or strings")
    return _Column(file, name, str(kind), strings, () if strings else _class_names(schema, name))


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """Return the ClassLabel names of the Hugging-Face metadata, empty where there are none."""
    metadata = schema.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (ValueError, KeyError, TypeError):
        return ()


def _refuse_mixture(column: _Column, first: _Column, label: str) -> None:
    """Refuse two files whose labels cannot be told to mean the same."""
    if (column.strings, not column.names) != (first.strings, not first.names):
        raise UserError(
            f"{column.file}: column {label!r} holds {column.kind}, that of {first.file} "
            f"{first.kind}; write all files alike"
        )
    repeats = any(len(set(each.names)) < len(each.names) for each in (column, first))
    if repeats and column.names != first.names:
        raise UserError(
            f"{column.file}: the classes of column {label!r} are in another order than in "
            f"{first.file} and two have one name; give each a name of its own"
        )


def _classes(columns: list[_Column]) -> tuple[tuple[str, ...], list[dict[Any, int]]]:
    """Return the classes of all files, and for each file which class a value of it is."""
    if columns[0].names:
        own = [_told_apart(column.names) for column in columns]
        classes = tuple(dict.fromkeys(name for names in own for name in names))
        index = {name: place for place, name in enumerate(classes)}
        return classes, [{n: index[name] for n, name in enumerate(names)} for names in own]
    found = {value for column in columns for value in column.values()}
    values = sorted(value for value in found if value is not None)
    known = {value: place for place, value in enumerate(values)}
    return tuple(map(str, values)), [known] * len(columns)


def _told_apart(names: tuple[str, ...]) -> list[str]:
    """Number a name that came before: ImageNet has two cranes, a bird and a machine."""
    return [f"{name} ({i})" if name in names[:i] else name for i, name in enumerate(names)]
