"""Your own images: a folder per class, or train/val/test folders of them; nothing is copied.

Hidden files and files that are no images are passed over and counted; images outside every class
folder are quarantined as having no label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import split_of_folder, splits_in
from edgepress.data.walk import (
    NO_IMAGE,
    LeftOut,
    claims_to_be_image,
    images,
    refuse_undecodable,
    visible,
)
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split

_NO_LABEL = "no label: lies outside every class folder"


class Params(Config):
    """Where the class folders are."""

    method: Literal["folder"]
    path: str
    """Folder that holds the class folders, or train, val and test folders of class folders."""


@dataclass(frozen=True)
class _Place:
    """A folder of class folders, with its split if it is one."""

    path: Path
    split: Split | None


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images below the class folders; nothing is copied."""
    root = Path(params.path)
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to your images")
    layout = _layout(root)
    classes = sorted({name for place in layout for name in _folders(place.path)})
    if not classes:
        raise UserError(f"{root}: holds no class folder; expected {root}/<class>/<image>")
    for place in layout:
        _refuse(place.path)
    left_out = LeftOut()
    for _ in _entries(root, layout, classes, left_out):
        pass  # What is left out is known once every folder was walked.
    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=tuple(classes),
        splits=frozenset(place.split for place in layout if place.split is not None),
        entries=lambda: _entries(root, layout, classes, LeftOut()),
        left_out=left_out,
    )


def _entries(
    root: Path, layout: list[_Place], classes: list[str], left_out: LeftOut
) -> Iterator[Entry]:
    if layout[0].path != root:
        yield from _unlabelled(_Place(root, None), root, left_out)
    for place in layout:
        yield from _unlabelled(place, root, left_out)
        for name in _folders(place.path):
            label = classes.index(name)
            for path in images(place.path / name, left_out):
                yield Entry.of_file(path, root, label, place.split)


def _unlabelled(place: _Place, root: Path, left_out: LeftOut) -> Iterator[Entry]:
    for path in sorted(item for item in place.path.iterdir() if not item.is_dir()):
        if not visible(path):
            left_out.note("hidden", path)
        elif claims_to_be_image(path):
            yield Entry.of_file(path, root, None, place.split, _NO_LABEL)
        else:
            left_out.note(NO_IMAGE, path)


def _refuse(place: Path) -> None:
    """Refuse class folders that are empty, misread splits, or cannot be named."""
    for name in _folders(place):
        refuse_undecodable(place / name)
        if next(images(place / name, LeftOut()), None) is None:
            raise UserError(f"{place / name}: the class has no file; add images or remove it")
        inside = [each for each in _folders(place / name) if split_of_folder(each)]
        if len({split_of_folder(each) for each in inside}) > 1:
            raise UserError(
                f"{place / name}: holds {' and '.join(inside)}, which look like splits inside a "
                f"class; lay the images out as {inside[0]}/{name}/<image>"
            )
    like = {name: said for name in _folders(place) if (said := _said(place / name))}
    if like and (len(set.union(*like.values())) > 1 or len(like) == len(_folders(place))):
        name = next(iter(like))
        word = next(iter(like[name]))
        raise UserError(
            f"{place / name}: looks like a split and would be a class; call the folder {word}, "
            f"with class folders directly below it, or move the images out of its sub-folders"
        )


def _said(folder: Path) -> set[Split]:
    """Return the splits that the name of a folder of nothing but folders says."""
    if any(visible(item) and not item.is_dir() for item in folder.iterdir()):
        return set()
    return splits_in(folder.name)


def _layout(root: Path) -> list[_Place]:
    """Return the folders that hold class folders."""
    names = _folders(root)
    splits = {
        name: split
        for name in names
        if (split := split_of_folder(name)) is not None and _folders(root / name)
    }
    if not splits:
        return [_Place(root, None)]
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
    return [_Place(root / name, split) for name, split in splits.items()]


def _folders(place: Path) -> list[str]:
    return sorted(item.name for item in place.iterdir() if visible(item) and item.is_dir())
