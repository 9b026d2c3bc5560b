"""Rows of a CSV, TSV or JSONL file, one at a time, each with the line it begins in.

A file that is not what its suffix says is refused with the line: that its quotes or columns are
wrong says nothing about which of its rows are right. RFC 4180 for CSV, https://jsonlines.org.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgepress.errors import UserError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON = (".jsonl", ".ndjson")
_LONGEST = 2**20
"""Bytes of a line above which the file is no table."""
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rows:
    """One file of rows; a value is text in CSV, and whatever it is in JSONL."""

    file: Path
    columns: tuple[str, ...]
    """The header's, or in JSONL the first row's keys."""

    def read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the line and the values of every row by column; blank lines are passed over."""
        if self.file.suffix.lower() in _JSON:
            yield from _objects(self.file)
            return
        for line, cells in _cells(self.file):
            if len(cells) != len(self.columns):
                raise UserError(
                    f"{self.file}:{line}: has {len(cells)} cells, the header has "
                    f"{len(self.columns)}; quote cells that hold a delimiter"
                )
            if cells != list(self.columns):  # the header itself, or a file put behind another
                yield line, dict(zip(self.columns, cells, strict=True))


def open_rows(file: Path, key: str) -> Rows:
    """Look at the head of a file; one that is missing, empty or of another kind is a UserError."""
    suffix = file.suffix.lower()
    if not file.is_file():
        raise UserError(f"{key}: {file}: no such file; set it to your table")
    if suffix not in (*_DELIMITERS, *_JSON):
        known = ", ".join((*_DELIMITERS, *_JSON))
        raise UserError(f"{key}: {file}: expected one of {known}; write the table as one of them")
    first: Any
    with closing(_objects(file) if suffix in _JSON else _cells(file)) as rows:
        line, first = next(rows, (1, None))
    if first is None:
        raise UserError(f"{key}: {file}: holds no row")
    columns = tuple(first)
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise UserError(f"{file}:{line}: has two columns {twice[0]!r}; rename one")
    return Rows(file, columns)


def _cells(file: Path) -> Generator[tuple[int, list[str]]]:
    lines = _lines(file)
    delimiter = _DELIMITERS[file.suffix.lower()]
    reader = csv.reader((text for _, text in lines), delimiter=delimiter, strict=True)
    begins = 1
    with closing(lines):
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise UserError(
                    f"{file}:{begins}: is no CSV from here on: {error}; look for a quote that is "
                    "not closed, or not doubled inside a cell"
                ) from None
            if cells is None:
                return
            if cells:
                yield begins, cells
            begins = reader.line_num + 1


def _objects(file: Path) -> Generator[tuple[int, dict[str, Any]]]:
    for line, text in _lines(file):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            json.dumps(row, ensure_ascii=False).encode() if "\\u" in text else None
        except (ValueError, RecursionError) as error:
            said = str(error).split(": line")[0]
            raise UserError(f"{file}:{line}: is not valid JSON: {said}; mend the line") from None
        if not isinstance(row, dict):
            raise UserError(f"{file}:{line}: is {type(row).__name__}, expected an object per line")
        yield line, row


def _lines(file: Path) -> Generator[tuple[int, str]]:
    """Yield each line with its number, its end kept; what is not UTF-8 text is a UserError."""
    try:
        with file.open("rb") as opened:
            yield from _decoded(opened, file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from None


def _decoded(opened: BinaryIO, file: Path) -> Iterator[tuple[int, str]]:
    number = 0
    while data := opened.readline(_LONGEST + 1):
        number += 1
        if len(data) > _LONGEST:
            raise UserError(f"{file}:{number}: the line is over {_LONGEST} bytes; is it a table?")
        if number == 1:
            data = data.removeprefix(_MARK)
        if b"\0" in data:
            raise UserError(f"{file}:{number}: holds a NUL byte; save the table as UTF-8 text")
        try:
            yield number, data.decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{file}:{number}: is not UTF-8 (byte {error.start + 1}); save it as UTF-8"
            ) from None
