"""Lines of the small text files that say what is on pictures and which belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepress.data.picture import UnusableError
from edgepress.data.sources._objects import UNREADABLE

_LARGEST = 2**26
"""Bytes; a list of a million paths has fewer."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not blank, with their numbers from 1."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UnusableError(f"{UNREADABLE}: {path.name}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise UnusableError(f"{UNREADABLE}: {path.name}: is over {_LARGEST:,} bytes")
    for number, text in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        if text.strip():
            yield number, text.strip()
