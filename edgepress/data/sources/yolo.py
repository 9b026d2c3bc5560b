"""YOLO folders: a text file of labels for each image, and a YAML file of classes and splits.

Format: https://docs.ultralytics.com/datasets/. As exported by CVAT, Label Studio and Roboflow too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.picture import UnusableError
from edgepress.data.sources._objects import EMPTY, REPEATED, UNUSED, WITHOUT_PICTURE
from edgepress.data.sources._pictures import Pictures
from edgepress.data.sources._yolo_labels import classes_in, yolo_objects
from edgepress.data.sources._yolo_set import Shares, YoloSet, shares
from edgepress.data.walk import LeftOut
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split

_IMAGES, _LABELS = "images", "labels"
"""Folders that stand in for one another in the paths of a picture and of its labels."""


class Params(Config):
    """Where the set lies, and what describes it."""

    method: Literal["yolo"]
    path: str
    """Folder of the set: images, labels and what describes them lie in it or below."""
    description: str | None
    """File that names classes and splits, by its place in `path`: YAML, obj.data or a list of
    names; null finds it."""


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images with the objects of their label files; nothing is copied into `folder`."""
    root, left_out = Path(params.path), LeftOut()
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to that of your data")
    described = YoloSet.open(root, params.description)
    pictures = Pictures(root, left_out)
    shared = shares(described, pictures)
    rows = _rows(shared, left_out)
    labels = _labels(rows, set(pictures.others))
    _note(pictures, rows, labels, left_out)
    read = {described.file.relative_to(root).as_posix(), *described.read, *shared.lists}
    _note_files(pictures, read, set(labels.values()), left_out)
    names = _names(described, root, labels, left_out)

    def entries() -> Iterator[Entry]:
        index = {number: place for place, number in enumerate(names)}
        for place, (split, problem) in rows.items():
            label = None
            if problem is None:
                label, problem = _label(labels.get(place), root, described, index)
            yield Entry.of_file(root / place, root, label, split, problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=tuple(names.values()),
        splits=frozenset(split for split, _ in rows.values() if split is not None),
        entries=entries,
        labels=OBJECTS,
        left_out=left_out,
    )


_Rows = dict[str, tuple[Split | None, str | None]]
"""Place of a picture -> its split, and why it cannot be used."""


def _rows(shared: Shares, left_out: LeftOut) -> _Rows:
    """Return every picture once; one that two splits list is of no use to either."""
    rows: _Rows = {}
    for place, split in shared.pictures:
        if place in rows:
            left_out.note("picture listed again", Path(place))
        first, problem = rows.setdefault(place, (split, shared.missing.get(place)))
        if first != split:
            problem = f"{REPEATED}: {first} lists it, {split} again"
            rows[place] = (first, problem)
    for absent in shared.empty:
        left_out.note("split whose folder or list is not there", Path(absent))
    return rows


def _labels(rows: _Rows, files: set[str]) -> dict[str, str]:
    """Return for each picture the place of its label file, where it has one."""
    found = {}
    for place in rows:
        stem = str(PurePosixPath(place).with_suffix(".txt"))
        parts = stem.split("/")
        options = [stem]
        if _IMAGES in parts[:-1]:
            last = len(parts) - 2 - parts[-2::-1].index(_IMAGES)
            options.insert(0, "/".join([*parts[:last], _LABELS, *parts[last + 1 :]]))
        label = next((each for each in options if each in files), None)
        if label is not None:
            found[place] = label
    return found


def _names(
    described: YoloSet, root: Path, labels: dict[str, str], left_out: LeftOut
) -> dict[int, str]:
    """Return the names that objects have; none at all is a UserError."""
    used = {number for place in labels.values() for number in classes_in(root / place)}
    names = {}
    for number, name in described.names.items():
        if number in used:
            names[number] = name
        else:
            left_out.note(UNUSED, Path(name))
    if not names:
        raise UserError(
            f"{root}: of {len(labels)} label files none has an object with a name of "
            f"{described.file.name}; expected labels/a.txt for images/a.jpg, or a.txt beside a.jpg"
        )
    return names


def _note(pictures: Pictures, rows: _Rows, labels: dict[str, str], left_out: LeftOut) -> None:
    """Count pictures without a label file, and those of no split."""
    for picture in pictures:
        if picture not in rows:
            left_out.note("picture that no split lists", Path(picture))
    for place, (_, problem) in rows.items():
        if problem is None and place not in labels:
            left_out.note(EMPTY, Path(place))


def _note_files(pictures: Pictures, read: set[str], labels: set[str], left_out: LeftOut) -> None:
    """Count labels without a picture, and files that are neither labels nor images."""
    folders = {place.rpartition("/")[0] for place in labels}
    known = read | labels
    for place in pictures.others:
        path = PurePosixPath(place)
        meant = str(path.parent) in folders or _LABELS in path.parts
        if meant and path.suffix == ".txt" and place not in known:
            known.add(place)
            left_out.note(WITHOUT_PICTURE, Path(place))
    pictures.note_others(known)


def _label(
    place: str | None, root: Path, described: YoloSet, index: dict[int, int]
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the label of a picture, or why there is none; without a file it has no object."""
    try:
        objects = yolo_objects(root / place, index, described.keypoints) if place else []
    except UnusableError as error:
        return None, str(error)
    return {"width": None, "height": None, "relative": True, "objects": objects}, None
