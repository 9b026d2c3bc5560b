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
from edgepress.data.sources._names import split_of_folder, splits_in
from edgepress.data.walk import LeftOut, images
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
    left_out = LeftOut()
    pictures = list(images(root, left_out))
    if not pictures:
        raise UserError(f"{root}: holds no image; expected some")
    known = {_stem(path, masks): path for path in images(masks, left_out)}
    drawn = {_stem(path, root) for path in pictures}
    for stem in sorted(known.keys() - drawn):
        left_out.note("mask without a picture", known[stem])
    splits = {split for path in pictures if (split := _split(path, root)) is not None}

    def entries() -> Iterator[Entry]:
        for path in pictures:
            mask = known.get(_stem(path, root))
            label = mask and {"path": mask.as_posix(), "above_zero": params.above_zero}
            problem = None if mask else f"no label: {masks} has no mask of this name"
            yield Entry.of_file(path, root, label, _split(path, root), problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=params.classes,
        splits=frozenset(splits),
        entries=entries,
        labels=LABELS,
        left_out=left_out,
    )


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _split(path: Path, root: Path) -> Split | None:
    parts = path.relative_to(root).parts
    if len(parts) == 1:
        return None
    split = split_of_folder(parts[0])
    if split is None and (said := splits_in(parts[0])):
        raise UserError(
            f"{root / parts[0]}: looks like a split; call the folder {said.pop()}, masks too, or "
            "rename it"
        )
    return split
