"""Splits told from names: train/, train2017/, val-00001-of-00010.parquet, imagenet-test-0.tar."""

from __future__ import annotations

import re
from pathlib import Path

from edgepress.data.walk import LeftOut, refuse_undecodable, walk
from edgepress.errors import UserError
from edgepress.records.manifest import Split

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn", "trainset", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "valset", "minival"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "testset"), "test"),
}
"""Words that people name splits by."""


def split_of_folder(name: str) -> Split | None:
    """Return the split a folder is named for, a year behind it or not, None if named otherwise."""
    return _SPLITS.get(re.sub(r"[-_]?\d+$", "", name.lower()))


def splits_in(name: str) -> set[Split]:
    """Return the splits that words of a name say, wherever they stand in it."""
    words = re.split(r"[^a-z]+", name.lower())
    return {_SPLITS[word] for word in words if word in _SPLITS}


def shards(
    path: Path, suffix: str, key: str, left_out: LeftOut | None = None
) -> list[tuple[Path, Split | None]]:
    """Return the file, or all files of that suffix below the folder, with their split, by name.

    A missing path, a folder without such files, splits for some files only, and names that say two
    splits are UserErrors.
    """
    if path.is_file():
        return [(path, None)]
    if not path.is_dir():
        raise UserError(f"{key}: {path}: no such file or folder; set it to your data")
    files = [
        file for file in walk(path, left_out) if file.suffix.lower() == suffix and file.is_file()
    ]
    if not files:
        raise UserError(f"{key}: {path}: holds no {suffix} file")
    for file in files:
        refuse_undecodable(file)
    found = [(file, _split(file, path)) for file in files]
    bare = [file for file, split in found if split is None]
    if len(bare) == len(files):
        return found
    if bare:
        raise UserError(
            f"{bare[0]}: its name tells no split while others' do; "
            "have every name say train, val or test, or none"
        )
    if "train" not in {split for _, split in found}:
        raise UserError(f"{path}: no {suffix} file is named train; one split must be train")
    return found


def _split(file: Path, root: Path) -> Split | None:
    """Return what the file's name says, else the nearest folder's."""
    for name in (file.stem, *reversed(file.relative_to(root).parts[:-1])):
        said = splits_in(name)
        if len(said) > 1:
            words = " and ".join(sorted(said))
            raise UserError(f"{file}: {name!r} says {words}; have it say one of them")
        if said:
            return said.pop()
    return None
