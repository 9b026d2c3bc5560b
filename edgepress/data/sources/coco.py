"""COCO files: one JSON for each split, or one for all; the images are read where they lie.

Format: https://cocodataset.org/#format-data. As exported by CVAT, Label Studio and Roboflow too.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.picture import UnusableError
from edgepress.data.sources._coco_file import CocoFile, Listed
from edgepress.data.sources._coco_objects import coco_object
from edgepress.data.sources._names import shards
from edgepress.data.sources._objects import EMPTY, REPEATED, UNUSED, WITHOUT_PICTURE, distinct
from edgepress.data.sources._pictures import Pictures, below, plain
from edgepress.data.walk import LeftOut
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import SPLITS, Split


class Params(Config):
    """Where the set lies, and which of its files say what is on the images."""

    method: Literal["coco"]
    path: str
    """Folder of the set: the JSON files and the images lie in it or below."""
    annotations: str | dict[Split, str] | None
    """One JSON file for all images, or one for each of train, val and test, by its place in `path`;
    null takes the JSON files there are, whose names or folders tell the splits."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a listed picture lies, and why it cannot be used."""

    path: str
    problem: str | None = None


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images of the JSON files with their objects; nothing is copied into `folder`."""
    root, left_out = Path(params.path), LeftOut()
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to that of your data")
    files = [CocoFile(path, split) for path, split in _files(root, params.annotations)]
    pictures = Pictures(root, left_out)
    pictures.note_others({file.path.relative_to(root).as_posix() for file in files})
    names = _names(files, left_out)
    places = _placed(files, pictures, left_out)

    def entries() -> Iterator[Entry]:
        index = {name: number for number, name in enumerate(names)}
        for file, mine in zip(files, places, strict=True):
            known = {key: index[name] for key, name in file.categories.items() if name in index}
            rows = zip(mine, file.annotations(), strict=True)
            for place, (image, found) in ((place, row) for place, row in rows if place):
                label, problem = None, place.problem
                if problem is None:
                    label, problem = _label(image, found, known, file.path.name)
                path = root / place.path
                yield Entry.of_file(path, root, label, file.split, problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=names,
        splits=frozenset(file.split for file in files if file.split is not None),
        entries=entries,
        labels=OBJECTS,
        left_out=left_out,
    )


def _files(root: Path, given: str | dict[Split, str] | None) -> list[tuple[Path, Split | None]]:
    """Return the JSON files and their splits, those of params or those found."""
    key = "ingest.source.annotations"
    if isinstance(given, str):
        return [(below(root, given, key), None)]
    if given is not None:
        if "train" not in given:
            raise UserError(f"{key}: names no file for train; add one, or name one file for all")
        return [(below(root, given[each], key), each) for each in SPLITS if each in given]
    found = shards(root, ".json", "ingest.source.path")
    per_split = Counter(split for _, split in found)
    for split, count in per_split.items():
        if count > 1:
            mine = [str(path.relative_to(root)) for path, each in found if each == split]
            raise UserError(
                f"{root}: holds {count} JSON files for {split or 'all images'}: "
                f"{', '.join(mine[:4])}; name those to be read in {key}"
            )
    return found


def _names(files: list[CocoFile], left_out: LeftOut) -> tuple[str, ...]:
    """Return the names of the categories that objects have, in the order of their ids.

    Exporters list groups of categories beside them, and names that were never given.
    """
    every = [
        (file.categories[key], key in file.used)
        for file in files
        for key in sorted(file.categories, key=lambda key: (isinstance(key, str), key))
    ]
    used = {name for name, has in every if has}
    for name in distinct(name for name, _ in every if name not in used):
        left_out.note(UNUSED, Path(name))
    if not used:
        where = ", ".join(str(file.path) for file in files)
        raise UserError(f"{where}: no object has a category that is listed; export them anew")
    return distinct(name for name, _ in every if name in used)


def _placed(
    files: list[CocoFile], pictures: Pictures, left_out: LeftOut
) -> list[list[_Place | None]]:
    """Find every listed picture; of several for one file the first stays, as a problem."""
    found: list[list[_Place | None]] = []
    first: dict[str, tuple[int, int]] = {}
    for number, file in enumerate(files):
        mine: list[_Place | None] = []
        found.append(mine)
        base = file.path.parent.relative_to(pictures.root).as_posix()
        for image in file.images:
            place, here = _place(image, file, pictures, base), (number, len(mine))
            mine.append(place)
            row, column = first.setdefault(place.path, here)
            if (row, column) != here:
                said = f"{REPEATED}: {files[row].path.name} lists it, {file.path.name} again"
                found[row][column], mine[-1] = _Place(place.path, said), None
            elif place.problem is None and not file.objects(image.number):
                left_out.note(EMPTY, Path(place.path))
        for _ in range(file.strays):
            left_out.note(WITHOUT_PICTURE, file.path)
        for _ in range(file.nameless):
            left_out.note("picture without id or file name", file.path)
    for picture in pictures:
        if picture not in first:
            left_out.note("picture that no JSON file lists", Path(picture))
    return found


def _place(image: Listed, file: CocoFile, pictures: Pictures, base: str) -> _Place:
    name = plain(image.name)
    try:
        place, problem = pictures.under(name, base, file.split), None
    except UnusableError as error:
        place, problem = posixpath.normpath(f"{base}/{name}"), str(error)
    if file.repeated(image):
        problem = f"{REPEATED}: {file.path.name} gives its id to another picture too"
    return _Place(place, problem)


def _label(
    image: Listed, found: list[Any], index: dict[Any, int], where: str
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the label of a picture, or why there is none."""
    try:
        objects = [coco_object(each, index, where) for each in found]
    except UnusableError as error:
        return None, str(error)
    size = {"width": image.width, "height": image.height, "relative": False}
    return {**size, "objects": objects}, None
