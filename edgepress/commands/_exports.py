"""The export that a command is told: a target's key, or a folder."""

from __future__ import annotations

from pathlib import Path

from edgepress.errors import UserError, nearest
from edgepress.records.exported import Exported
from edgepress.records.not_exported import NotExported

EXPORTED = Path("targets/exported")
"""Where a run leaves its exports, a folder each."""


def export(target: str) -> Path:
    """Return the folder of an export, by its path or by its key; none is a UserError."""
    folder = Path(target) if Path(target).is_dir() else EXPORTED / target
    if (folder / Exported.file_name).is_file():
        return folder
    if (folder / NotExported.file_name).is_file():
        raise UserError(f"{target}: not exported: {NotExported.read(folder).reason}")
    known = sorted(each.parent.name for each in EXPORTED.glob(f"*/{Exported.file_name}"))
    there = f"{EXPORTED} has {', '.join(known)}" if known else f"{EXPORTED} has none; run export"
    raise UserError(
        f"{target}: no export, neither as a folder nor as a key{nearest(target, known)}; {there}"
    )
