"""Inventory: the user's own files by name, size and time, so that a change of them is seen.

A source reads images where they lie, outside what the pipeline versions. This writes one small file
about them, which stands in for them as a dependency: `python -m edgepress.data.inventory FILE`.
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


def inventory(entry: dict[str, Any]) -> dict[str, Any]:
    """Return count, bytes and digest of the files at the source's `path`, if it has one."""
    digest = hashlib.sha256()
    count = size = 0
    if isinstance(entry.get("path"), str):
        root = Path(entry["path"])
        for name, status in _files(root):
            digest.update(os.fsencode(name))  # a name need not be UTF-8
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            count += 1
            size += status.st_size
    return {"source": entry, "files": count, "bytes": size, "digest": digest.hexdigest()}


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
    """Write the inventory of params.yaml's source into the one file named; keep an equal one."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m edgepress.data.inventory FILE\n")
        return 2
    try:
        entry = lookup(read_yaml(PARAMS), "ingest.source", str(PARAMS))
        if not isinstance(entry, dict):
            raise UserError(f"{PARAMS}: ingest.source: expected a mapping, got {entry!r}")
    except UserError as error:
        sys.stderr.write(f"inventory: {error}\n")
        return 2
    path = Path(arguments[0])
    text = json.dumps(inventory(entry), indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
