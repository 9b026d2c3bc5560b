"""Groups: images that show one thing, a patient, a scene, a film, and must not part.

What a source alone can say of an image's group is its name here; groups of pictures that look alike
are found once all were looked at (`edgepress.data.duplicates`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator, model_validator

from edgepress.data.image_column import column_problem
from edgepress.data.listing import Entry, Listing
from edgepress.errors import UserError
from edgepress.params import Config

KEY = "ingest.split.group"
_BATCH = 65536

Named = tuple[Entry, str | None]
"""An image and the name of its group; None where it is a group of its own."""


class Grouping(Config):
    """What makes images belong together; each word but `folder` needs the key that it names."""

    by: Literal["folder", "id", "column", "near_duplicate"]
    """The folder an image lies in; its id and a pattern; a column of a Parquet source; or looks."""
    pattern: str | None = None
    """For id: a regular expression sought in it; its first group, else its match, is the name."""
    column: str | None = None
    """For column: the exact name of one of strings or integers; null leaves an image alone."""
    bits: int | None = Field(default=None, ge=0, le=16)
    """For near_duplicate: images whose perceptual hashes are at most this many of 64 bits apart
    belong together, and those with what they look like in turn."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for word, key in (("id", "pattern"), ("column", "column"), ("near_duplicate", "bits")):
            given = getattr(self, key) is not None
            if given != (self.by == word):
                raise ValueError(f"by: {self.by} {'takes no' if given else 'needs'} {key}")
        return self

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern


def named(listing: Listing, folder: Path, grouping: Grouping | None) -> Iterator[Named]:
    """Yield the listing's images with the names of their groups.

    `folder` is the one that places inside the run's own are relative to. A column that is not there
    or holds neither strings nor integers is a UserError.
    """
    if grouping is not None and grouping.column is not None:
        return _by_column(listing, folder if listing.inside else Path(), grouping.column)
    if grouping is not None and grouping.pattern is not None:
        sought = re.compile(grouping.pattern)
        return ((entry, _match(sought, entry.id)) for entry in listing.entries())
    if grouping is not None and grouping.by == "folder":
        return ((entry, str(PurePosixPath(entry.id).parent)) for entry in listing.entries())
    return ((entry, None) for entry in listing.entries())


def _match(sought: re.Pattern[str], name: str) -> str | None:
    found = sought.search(name)
    if found is None:
        return None
    return found[1 if sought.groups else 0] or None


def _by_column(listing: Listing, root: Path, column: str) -> Iterator[Named]:
    if listing.container != "parquet":
        raise UserError(
            f"{KEY}: by: column needs images in Parquet files, {listing.source} has none; group by "
            "folder, id or near_duplicate"
        )
    for path, entries in itertools.groupby(listing.entries(), lambda entry: entry.path):
        values, at = iter(()), 0
        for entry in entries:
            row = entry.row or 0
            if row < at or at == 0:
                values, at = _values(root / path, column), 0
            value = next(itertools.islice(values, row - at, None), None)
            at = row + 1
            yield entry, None if value is None else str(value)


def _values(path: Path, column: str) -> Iterator[Any]:
    """Yield a column's values; a file that has no such column of names is a UserError."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            problem = column_problem(schema, column) or _no_names(schema, column)
            if problem is not None:
                raise UserError(f"{KEY}.column: {path}: {problem}")
            for batch in file.iter_batches(_BATCH, columns=[column]):
                index = batch.schema.get_field_index(column)
                yield from batch.column(index).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{KEY}.column: {path}: cannot be read as Parquet: {error}") from None


def _no_names(schema: Any, column: str) -> str | None:
    kind = schema.field(schema.get_field_index(column)).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if pa.types.is_integer(kind) or any(each(kind) for each in text):
        return None
    return f"column {column!r} is {kind}; expected strings or integers"
