"""Inputs: the user's own files by name, size and time, so that a change of them is seen.

A source reads images where they lie, outside what the pipeline versions, and so does an encoder
that takes embeddings made elsewhere, and a network that starts from weights or is a file itself. A
stamp of them stands in for them as a dependency.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepress.data.walk import walk

PATHS = ("path", "masks", "table", "embeddings", "ids")
"""Parameters that name a file or folder of the user's."""


def stamp(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return count, bytes and digest of the files that the entries' paths name, if any."""
    digest = hashlib.sha256()
    count = size = 0
    named = (entry.get(key) for entry in entries for key in PATHS)
    for root in (Path(path) for path in named if isinstance(path, str)):
        for name, status in _files(root):
            digest.update(os.fsencode(name))  # a name need not be UTF-8
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            count += 1
            size += status.st_size
    return {"files": count, "bytes": size, "digest": digest.hexdigest()}


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield relative name and status of every file at or below `root`, links followed once."""
    if root.is_file():
        # An ONNX file may keep its weights beside itself, under a name that begins with its own.
        beside = f"{glob.escape(root.name)}{'*' if root.suffix == '.onnx' else ''}"
        for path in sorted(root.parent.glob(beside)):
            yield path.name, path.stat()
    for path in walk(root) if root.is_dir() else ():
        yield path.relative_to(root).as_posix(), path.stat() if path.exists() else path.lstat()
