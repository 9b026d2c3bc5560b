"""ImageSets/Main of Pascal VOC: which pictures are for training, validation and testing."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path, PurePosixPath

from edgepress.data.picture import UnusableError
from edgepress.data.sources._lines import lines
from edgepress.data.sources._objects import REPEATED
from edgepress.errors import UserError
from edgepress.records.manifest import Split

_FOLDERS = ("ImageSets", "Main")
_SETS: dict[str, Split] = {
    "train.txt": "train",
    "val.txt": "val",
    "test.txt": "test",
    "trainval.txt": "train",
}
"""Lists, and the split of what they name; `trainval` tells nothing of what the others name."""

Sets = dict[str, tuple[Split, str | None]]
"""Key of a picture -> its split, and why it can be of no use."""


def set_files(places: list[str]) -> list[str]:
    """Return those of the files that list pictures by split."""
    return [
        place
        for place in places
        if PurePosixPath(place).name in _SETS and PurePosixPath(place).parts[-3:-1] == _FOLDERS
    ]


def image_sets(root: Path, files: list[str], known: Container[str]) -> Sets:
    """Return what the lists say; names are relative to the folder that holds ImageSets.

    A line may say more behind the name, as those of one class do; `known` are the names there are.
    """
    found: Sets = {}
    order = list(_SETS)
    for place in sorted(files, key=lambda place: order.index(PurePosixPath(place).name)):
        name = PurePosixPath(place).name
        base = PurePosixPath(*PurePosixPath(place).parts[:-3])
        split = _SETS[name]
        for text in _lines(root / place):
            whole = (base / text.strip('"')).as_posix()
            key = whole if whole in known else (base / text.split()[0]).as_posix()
            first, problem = found.setdefault(key, (split, None))
            if first != split and name != "trainval.txt":
                problem = f"{REPEATED}: {first} lists it, {split} again"
                found[key] = (first, problem)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return [text for _, text in lines(path)]
    except UnusableError as error:
        raise UserError(f"{path}: {error}; write a name a line") from None
