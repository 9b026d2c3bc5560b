"""Images named by a table: a CSV, TSV or JSONL file with a path and labels in each row.

A row that cannot be used is quarantined with its line, and so are rows that say two things of one
image; images that no row names are counted. Nothing is copied.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import posixpath
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._cells import CellError, Cells, in_order
from edgepress.data.sources._names import split_of_folder
from edgepress.data.sources._rows import Rows, open_rows
from edgepress.data.walk import NO_IMAGE, LeftOut, claims_to_be_image, walk
from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.manifest import Split

_BLOCK = 65536


class Params(Config):
    """Where the table and the images are, and which columns say what."""

    method: Literal["table"]
    path: str
    """Folder that the table's image names are relative to."""
    table: str
    """The .csv, .tsv, .jsonl or .ndjson file; with a header, or a key for each value."""
    image: str
    """Column of the images' names."""
    suffix: str
    """What is put behind each name, for example .jpg; empty where names are whole."""
    label: str | None
    """Column of labels; null where every class has a column of its own that holds 0 or 1."""
    several: bool
    """An image may have several classes, or none; else it has one."""
    separator: str | None = Field(min_length=1)
    """What stands between the classes of a cell; null where a cell is one class, or a JSON list."""
    empty_is_none: bool
    """An empty cell says that the image has none of the classes; else that it has no label."""
    split: str | None
    """Column of splits: train, val, test and what else people call them; null for none."""
    classes: tuple[str, ...] | None = Field(min_length=1)
    """The classes in order; null takes those found, by name, or all columns that are left."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.separator is not None and (self.label is None or not self.several):
            raise ValueError("separator is for several classes in one column; set it to null")
        if self.empty_is_none and (self.label is None or not self.several):
            raise ValueError("empty_is_none is for several classes in one column; set it to false")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError("classes names one twice")
        return self


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images that the table names; it is read once here, and again for the entries."""
    root = Path(params.path)
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to your images")
    rows = open_rows(Path(params.table), "ingest.source.table")
    table = _Table(rows, root, params, _cells(rows, params))
    survey = table.survey()
    if params.label is not None and params.classes is None:
        classes = in_order(survey.names)
        table = replace(table, cells=replace(table.cells, classes=classes))
    if not table.cells.classes:
        raise UserError(f"{rows.file}: names no class; look at ingest.source.label")
    if params.split is not None and "train" not in survey.splits:
        raise UserError(f"{rows.file}: no row of column {params.split!r} says train; one has to")
    return Listing(
        source=params.method,
        where=str(rows.file),
        container="file",
        inside=False,
        classes=table.cells.classes,
        splits=frozenset(survey.splits),
        entries=lambda: table.entries(survey),
        labels=pa.list_(pa.int32()) if params.several else pa.int32(),
        left_out=_unnamed(root, rows.file, survey),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: where it stands, and what it says."""

    line: int
    name: str
    """Of the image, relative to the folder; empty where the row names none."""
    values: dict[str, Any]
    split: Split | None


@dataclass
class _Survey:
    """What one reading of the whole table shows; 8 bytes a row are held, and no row."""

    names: set[str]
    """Of classes."""
    splits: set[Split]
    images: npt.NDArray[np.uint64]
    """Hashes of the images that rows name, ascending."""
    repeated: frozenset[int]
    """Hashes of images that several rows name."""
    doubtful: frozenset[int]
    """Of those the ones of which the rows do not say the same."""


@dataclass(frozen=True)
class _Table:
    """Rows, and how they are read."""

    rows: Rows
    root: Path
    params: Params
    cells: Cells

    def survey(self) -> _Survey:
        """Read all rows once."""
        names: set[str] = set()
        splits: set[Split] = set()
        images, sayings = array("Q"), array("Q")
        for row in self._read():
            try:
                said = self.cells.named(row.values)
                names.update(said)
            except CellError as wrong:
                said = [str(wrong)]
            if row.split is not None:
                splits.add(row.split)
            if row.name:
                images.append(_hash(row.name))
                sayings.append(_hash("\0".join((row.name, str(row.split), *sorted(said)))))
        hashes = np.frombuffer(images, np.uint64)
        known, times = np.unique(hashes, return_counts=True)
        _, places = np.unique(np.frombuffer(sayings, np.uint64), return_index=True)
        told, ways = np.unique(hashes[places], return_counts=True)
        repeated, doubtful = known[times > 1].tolist(), told[ways > 1].tolist()
        return _Survey(names, splits, known, frozenset(repeated), frozenset(doubtful))

    def entries(self, survey: _Survey) -> Iterator[Entry]:
        """Yield an entry a row; of rows that say the same of one image the first is used."""
        base = "" if self.root == Path() else f"{self.root.as_posix()}/"
        met: set[int] = set()
        for row in self._read():
            key = _hash(row.name) if survey.repeated else 0
            name = row.name or self._at(row)
            if key in met:
                name = f"{name} (line {row.line})"
            path, label = f"{base}{row.name}", None
            problem = self._problem(row, path)
            if problem is None and (key in survey.doubtful or key in met):
                said = "otherwise" if key in survey.doubtful else "the same"
                problem = f"listed twice: {self._at(row)}: another row says {said} of {row.name}"
            if problem is None:
                try:
                    label = self.cells.label_of(row.values)
                except CellError as wrong:
                    problem = f"no label: {self._at(row)}: {wrong}"
            if key in survey.repeated:
                met.add(key)
            yield Entry(name, path, label, row.split, problem=problem)

    def _read(self) -> Iterator[_Row]:
        params, root = self.params, self.root.absolute().as_posix()
        for line, values in self.rows.read():
            said = values.get(params.image)
            name = said.strip() if isinstance(said, str) else ""
            if name:
                name = posixpath.normpath(name + params.suffix)
                name = posixpath.relpath(name, root) if name.startswith("/") else name
            word = None if params.split is None else values.get(params.split)
            split = split_of_folder(word.strip()) if isinstance(word, str) else None
            yield _Row(line, name, values, split)

    def _problem(self, row: _Row, path: str) -> str | None:
        """Return why a row's image cannot be used, whatever its label."""
        params = self.params
        if not row.name:
            return f"no image: {self._at(row)}: column {params.image!r} is empty"
        if row.name.split("/")[0] == "..":
            return f"no image: {self._at(row)}: {row.name} leads out of {self.root}"
        if not os.path.isfile(path):  # noqa: PTH113, a million times
            return f"no image: {self._at(row)}: there is no {path}"
        if params.split is not None and row.split is None:
            word = row.values.get(params.split)
            return f"no split: {self._at(row)}: {word!r} is neither train nor val nor test"
        return None

    def _at(self, row: _Row) -> str:
        return f"{self.rows.file.name}:{row.line}"


def _cells(rows: Rows, params: Params) -> Cells:
    """Return how labels are written; a column that is not there is a UserError."""
    classes = params.classes or ()
    if params.label is None and not classes:
        taken = (params.image, params.split)
        classes = tuple(name for name in rows.columns if name not in taken)
    cells = Cells(params.label, params.several, params.separator, params.empty_is_none, classes)
    for name in (params.image, params.split, *cells.columns):
        if name is not None and name not in rows.columns:
            said = ", ".join(rows.columns)
            hint = nearest(name, list(rows.columns))
            if len(rows.columns) == 1 and ";" in said:
                hint = "; write it with commas"
            raise UserError(f"{rows.file}: has no column {name!r}; there are {said}{hint}")
    return cells


def _unnamed(root: Path, table: Path, survey: _Survey) -> LeftOut:
    """Count the images below the folder that no row names."""
    left_out = LeftOut()
    start = len(root.as_posix()) + 1 if root != Path() else 0
    found = _images(root, table, left_out)
    while block := list(itertools.islice(found, _BLOCK)):
        hashes = np.array([_hash(path.as_posix()[start:]) for path in block], np.uint64)
        for place in np.flatnonzero(~np.isin(hashes, survey.images)):
            left_out.note("image that no row names", block[place])
    return left_out


def _images(root: Path, table: Path, left_out: LeftOut) -> Iterator[Path]:
    for path in walk(root, left_out):
        if claims_to_be_image(path):
            yield path
        elif path.name != table.name or not path.samefile(table):
            left_out.note(NO_IMAGE, path)


def _hash(text: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    )
