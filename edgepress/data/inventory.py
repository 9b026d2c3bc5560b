"""Inventory: the user's own files by name, size and time, so that a change of them is seen.

A source reads images where they lie, outside what the pipeline versions, and so does an encoder
that takes embeddings made elsewhere. This writes one small file about each, which stands in for
them as a dependency: `python -m edgepress.data.inventory FOLDER`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepress.errors import UserError
from edgepress.params import lookup, read_yaml
from edgepress.records.record import write_atomically

PARAMS = Path("params.yaml")
WRITTEN = {"ingest.source": "source.json", "embed": "encoder.json"}
"""Key of params.yaml -> the file that stands in for what lies at its paths."""
PATHS = ("path", "embeddings", "ids")
"""Parameters that name a file or folder of the user's."""


def inventory(entry: dict[str, Any]) -> dict[str, Any]:
    """Return count, bytes and digest of the files that the entry's paths name, if any."""
    digest = hashlib.sha256()
    count = size = 0
    for root in (Path(entry[key]) for key in PATHS if isinstance(entry.get(key), str)):
        for name, status in _files(root):
            digest.update(os.fsencode(name))  # a name need not be UTF-8
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            count += 1
            size += status.st_size
    return {"entry": entry, "files": count, "bytes": size, "digest": digest.hexdigest()}


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield relative name and status of every file at or below `root`, in order of names."""
    if root.is_file():
        yield root.name, root.stat()
    for folder, inner, names in os.walk(root):
        inner.sort()
        for name in sorted(names):
            path = Path(folder, name)
            # A link may lead nowhere; the source itself says so when it reads.
            if path.is_file():
                yield path.relative_to(root).as_posix(), path.stat()


def main(arguments: list[str]) -> int:
    """Write the inventories of params.yaml into the one folder named; keep equal ones."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m edgepress.data.inventory FOLDER\n")
        return 2
    try:
        for key, name in WRITTEN.items():
            _record(key, Path(arguments[0]) / name)
    except UserError as error:
        sys.stderr.write(f"inventory: {error}\n")
        return 2
    return 0


def _record(key: str, path: Path) -> None:
    entry = lookup(read_yaml(PARAMS), key, str(PARAMS))
    if not isinstance(entry, dict):
        raise UserError(f"{PARAMS}: {key}: expected a mapping, got {entry!r}")
    text = json.dumps(inventory(entry), indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
