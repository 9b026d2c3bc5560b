"""Your own images: a folder per class, or train/val/test folders of them; nothing is copied.

Hidden files are passed over; files outside every class folder are quarantined as having no label.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import split_of_folder
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split

_NO_LABEL = "no label: lies outside every class folder"


class Params(Config):
    """Where the class folders are."""

    method: Literal["folder"]
    path: str
    """Folder that holds the class folders, or train, val and test folders of class folders."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """List the files below the class folders; nothing is copied into `folder`."""
    root = Path(params.path)
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to your images")
    layout = _layout(root)
    classes = sorted({name for place, _ in layout for name in _folders(place)})
    if not classes:
        raise UserError(f"{root}: holds no class folder; expected {root}/<class>/<image>")
    for place, _ in layout:
        _refuse_empty(place)
    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=tuple(classes),
        splits=frozenset(split for _, split in layout if split is not None),
        entries=lambda: _entries(root, layout, classes),
    )


def _entries(
    root: Path, layout: list[tuple[Path, Split | None]], classes: list[str]
) -> Iterator[Entry]:
    loose = [] if layout[0][0] == root else _loose(root)
    for path in loose:
        yield Entry(_id(path, root), path.as_posix(), None, problem=_NO_LABEL)
    for place, split in layout:
        for path in _loose(place):
            yield Entry(_id(path, root), path.as_posix(), None, split, problem=_NO_LABEL)
        for name in _folders(place):
            label = classes.index(name)
            for path in _files(place / name):
                yield Entry(_id(path, root), path.as_posix(), label, split)


def _refuse_empty(place: Path) -> None:
    for name in _folders(place):
        if next(_files(place / name), None) is None:
            raise UserError(f"{place / name}: the class has no file; add images or remove it")


def _layout(root: Path) -> list[tuple[Path, Split | None]]:
    """Return the folders that hold class folders, each with its split if it is one."""
    names = _folders(root)
    splits = {
        name: split
        for name in names
        if (split := split_of_folder(name)) is not None and _folders(root / name)
    }
    if not splits:
        return [(root, None)]
    others = [name for name in names if name not in splits]
    if others:
        raise UserError(
            f"{root}: {', '.join(splits)} look like splits, but {others[0]!r} beside them "
            "does not; move it away or put every class folder below a split"
        )
    if "train" not in splits.values() or len(set(splits.values())) < len(splits):
        raise UserError(
            f"{root}: expected one folder each for train and, if you have them, val and test; "
            f"found {', '.join(splits)}"
        )
    return [(root / name, split) for name, split in splits.items()]


def _folders(place: Path) -> list[str]:
    return sorted(item.name for item in place.iterdir() if _visible(item) and item.is_dir())


def _loose(place: Path) -> list[Path]:
    return sorted(item for item in place.iterdir() if _visible(item) and not item.is_dir())


def _files(place: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(base, name)


def _visible(item: Path) -> bool:
    return not item.name.startswith(".")


def _id(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{os.fsencode(path)!r}: the file's name is not UTF-8; rename it") from None
    return name
