"""Images with masks: two folders, a mask of the same name for each image; nothing is copied.

A mask's grey values, or its palette's indices, are the classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import split_of_folder
from edgepress.data.walk import walk
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split

LABELS = pa.struct([("path", pa.string()), ("above_zero", pa.bool_())])


class Params(Config):
    """Where images and masks are, and what the masks' values mean."""

    method: Literal["masks"]
    path: str
    """Folder of the images; folders train, val and test directly in it are splits."""
    masks: str
    """Folder of the masks, laid out like the images; names differ in their suffix alone."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Name of each value of a mask, from 0 on."""
    above_zero: bool
    """Masks number their objects: every value above 0 is the second class."""


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images with their masks; nothing is copied into `folder`."""
    root, masks = Path(params.path), Path(params.masks)
    for key, place in (("path", root), ("masks", masks)):
        if not place.is_dir():
            raise UserError(f"ingest.source.{key}: {place}: no such folder; set it to your data")
    if params.above_zero and len(params.classes) != 2:
        raise UserError(
            f"ingest.source.classes: above_zero knows 2 classes, got {len(params.classes)}"
        )
    images = list(walk(root))
    if not images:
        raise UserError(f"{root}: holds no file; expected images")
    known = {_stem(path, masks): path for path in walk(masks)}
    splits = {split for path in images if (split := _split(path, root)) is not None}

    def entries() -> Iterator[Entry]:
        for path in images:
            mask = known.get(_stem(path, root))
            yield Entry(
                id=path.relative_to(root).as_posix(),
                path=path.as_posix(),
                label=mask and {"path": mask.as_posix(), "above_zero": params.above_zero},
                split=_split(path, root),
                problem=None if mask else f"no label: {masks} has no mask of this name",
            )

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=params.classes,
        splits=frozenset(splits),
        entries=entries,
        labels=LABELS,
    )


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _split(path: Path, root: Path) -> Split | None:
    parts = path.relative_to(root).parts
    return split_of_folder(parts[0]) if len(parts) > 1 else None
