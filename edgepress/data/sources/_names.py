"""Splits told from names: train/, val-00001-of-00010.parquet, test.tar."""

from __future__ import annotations

import re
from pathlib import Path

from edgepress.errors import UserError
from edgepress.records.manifest import Split

_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_of_folder(name: str) -> Split | None:
    """Return the split a folder is named for, None if it is named otherwise."""
    return _SPLITS.get(name.lower())


def split_of_file(name: str) -> Split | None:
    """Return the split that the first word of a file's name says, None if it says none."""
    return _SPLITS.get(re.split(r"[-_.\d]", name.lower(), maxsplit=1)[0])


def shards(path: Path, suffix: str, key: str) -> list[tuple[Path, Split | None]]:
    """Return the file, or all files of that suffix below the folder, with their split, by name.

    A missing path, a folder without such files, or splits for some files only are UserErrors.
    """
    if path.is_file():
        return [(path, None)]
    if not path.is_dir():
        raise UserError(f"{key}: {path}: no such file or folder; set it to your data")
    files = sorted(p for p in path.rglob(f"*{suffix}") if p.is_file())
    if not files:
        raise UserError(f"{key}: {path}: holds no {suffix} file")
    found = [(file, _split(file, path)) for file in files]
    bare = [file for file, split in found if split is None]
    if len(bare) == len(files):
        return found
    if bare:
        raise UserError(
            f"{bare[0]}: its name tells no split while others' do; "
            "start every name with train, val or test, or none"
        )
    if "train" not in {split for _, split in found}:
        raise UserError(f"{path}: no {suffix} file is named train; one split must be train")
    return found


def _split(file: Path, root: Path) -> Split | None:
    above = None if file.parent == root else split_of_folder(file.parent.name)
    return split_of_file(file.name) or above
