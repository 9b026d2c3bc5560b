"""Elements of the arrays at the top of a JSON file, one at a time, each with its place in bytes.

A file of labels may be half a gigabyte; parsed at once it takes ten times that in memory. Here one
element is held at a time, and its place is enough to read it again.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgepress.errors import UserError

_CHUNK = 2**20
_LARGEST = 2**26
"""Bytes of one element, or of one value that is no array, that are read at most."""
_SPACE = " \t\r\n"
_BEHIND = (*_SPACE, ",", ":", "]", "}")


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the array under a key, or all of a value that is no array."""

    key: str
    value: Any
    """Text in it is Latin-1, one character for each byte; numbers are what they are."""
    start: int
    length: int
    """Bytes in the file; what they say in UTF-8 is for `json.loads` of them."""


def elements(path: Path) -> Iterator[Element]:
    """Yield what lies under the keys of the one object a file holds, in its order.

    A missing file, and one that is no such JSON, is a UserError that names the line.
    """
    try:
        with path.open("rb") as file:
            yield from _Reader(path, file).elements()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; name another file") from None


class _Reader:
    """A window over the file, which grows until the value at hand is whole."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._text = ""
        self._at = self._passed = 0
        self._decoder = json.JSONDecoder()

    def elements(self) -> Iterator[Element]:
        self._more()
        if self._text.startswith(codecs.BOM_UTF8.decode("latin-1")):
            self._at = len(codecs.BOM_UTF8)
        self._take("{", "an object of `images`, `annotations` and `categories`")
        while self._peek() != "}":
            key = self._value().value
            self._take(":", "a colon")
            if self._peek() == "[":
                yield from self._array(key)
            else:
                yield self._value(key)
            if self._peek() != "}":
                self._take(",", "a comma or the end of the object")
        self._at += 1
        if self._peek():
            raise self._fault("the end of the file", self._at)

    def _array(self, key: str) -> Iterator[Element]:
        self._at += 1
        while self._peek() != "]":
            yield self._value(key)
            if self._peek() != "]":
                self._take(",", "a comma or the end of the array")
        self._at += 1

    def _value(self, key: str = "") -> Element:
        """Parse what stands here, reading on as long as it may only be cut off."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                end, behind = len(self._text), error.pos - self._at
            except (RecursionError, ValueError):
                raise self._fault("numbers and nesting that can be read", self._at) from None
            else:
                behind = end - self._at
            # What may stand behind a value: 1 followed by a point may be cut off behind it.
            if self._text[end : end + 1] in _BEHIND:
                break
            if len(self._text) - self._at > _LARGEST or not self._more():
                raise self._fault("JSON", self._at + behind)
        found = Element(key, value, self._passed + self._at, end - self._at)
        self._at = end
        return found

    def _take(self, character: str, expected: str) -> None:
        if self._peek() != character:
            raise self._fault(expected, self._at)
        self._at += 1

    def _peek(self) -> str:
        """Return the next character that is no space; an empty string at the file's end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, as much again as is held, so that a long value is not parsed too often."""
        self._text, self._passed = self._text[self._at :], self._passed + self._at
        self._at = 0
        read = self._file.read(max(_CHUNK, len(self._text)))
        self._text += read.decode("latin-1")
        return bool(read)

    def _fault(self, expected: str, place: int) -> UserError:
        byte = self._passed + place
        self._file.seek(0)
        line, left = 1, byte
        while left > 0 and (read := self._file.read(min(left, _CHUNK))):
            line, left = line + read.count(b"\n"), left - len(read)
        there = "the end of the file" if place >= len(self._text) else repr(self._text[place])
        return UserError(
            f"{self._path}: line {line}: expected {expected}, found {there}; export it anew"
        )
