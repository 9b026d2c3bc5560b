"""Pascal VOC: an XML file of boxes for each image, and lists of names that share them out.

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf. Image and XML have one name;
they lie side by side, or in folders Annotations and JPEGImages (images) that do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.picture import UnusableError
from edgepress.data.sources._objects import NO_IMAGE, REPEATED, WITHOUT_PICTURE
from edgepress.data.sources._pictures import Pictures, split_of
from edgepress.data.sources._voc_labels import names_in, voc_label
from edgepress.data.sources._voc_sets import Sets, image_sets, set_files
from edgepress.data.walk import LeftOut
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import Split

_KINDS = frozenset(
    ["annotations", "annotation", "xml", "xmls", "labels"]
    + ["jpegimages", "images", "image", "imgs", "img", "pictures"]
)
"""Folders that say what files are in them; the rest of a path says which picture is meant."""


class Params(Config):
    """Where the set lies, and how its labels are to be read."""

    method: Literal["voc"]
    path: str
    """Folder of the set; the images, the XML files and ImageSets lie in it or below."""
    classes: tuple[str, ...] | None
    """Names of the classes in order; null takes the names there are, sorted."""
    first_pixel: Literal[0, 1]
    """Number of a picture's first pixel: 1 in Pascal VOC and LabelImg, 0 in what CVAT and Label
    Studio export."""


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the images with the boxes of their XML files; nothing is copied into `folder`."""
    root, left_out = Path(params.path), LeftOut()
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to that of your data")
    pictures = Pictures(root, left_out)
    by_key = _by_key(pictures)
    lists = set_files(pictures.others)
    rows = _rows(by_key, image_sets(root, lists, by_key) if lists else None, left_out)
    labels = _labels(pictures, by_key, left_out)
    pictures.note_others({*lists, *(each for each in pictures.others if _is_xml(each))})
    classes = _classes(root, params.classes, list(labels.values()))

    def entries() -> Iterator[Entry]:
        index = {name: number for number, name in enumerate(classes)}
        for place, (split, problem) in rows.items():
            label = None
            if problem is None:
                label, problem = _label(root, labels.get(_key(place)), index, params.first_pixel)
            yield Entry.of_file(root / place, root, label, split, problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=classes,
        splits=frozenset(split for split, _ in rows.values() if split is not None),
        entries=entries,
        labels=OBJECTS,
        left_out=left_out,
    )


def _key(place: str) -> str:
    """Return what a picture and its label file have in common."""
    *folders, name = place.split("/")
    said = [folder for folder in folders if folder.lower() not in _KINDS]
    return "/".join([*said, PurePosixPath(name).stem])


def _by_key(pictures: Pictures) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place in pictures:
        found.setdefault(_key(place), []).append(place)
    return found


_Rows = dict[str, tuple[Split | None, str | None]]
"""Place of a picture -> its split, and why it cannot be used."""


def _rows(by_key: dict[str, list[str]], sets: Sets | None, left_out: LeftOut) -> _Rows:
    """Return the pictures of the lists, or all of them where there are no lists."""
    rows: _Rows = {}
    for key, places in by_key.items():
        if sets is not None and key not in sets:
            for place in places:
                left_out.note("picture that no image set lists", Path(place))
            continue
        for place in places:
            split, problem = (split_of(place), None) if sets is None else sets[key]
            if len(places) > 1:
                problem = f"{REPEATED}: {places[0]} and {places[1]} have one name"
            rows[place] = (split, problem)
    for key, (split, _) in (sets or {}).items():
        if key not in by_key:
            rows[key] = (split, f"{NO_IMAGE}: ImageSets lists {key}, which is not there")
    return rows


def _labels(pictures: Pictures, by_key: dict[str, list[str]], left_out: LeftOut) -> dict[str, str]:
    """Return the place of the label file of each key."""
    found: dict[str, str] = {}
    for place in filter(_is_xml, pictures.others):
        if _key(place) in by_key and _key(place) not in found:
            found[_key(place)] = place
        else:
            left_out.note(WITHOUT_PICTURE, Path(place))
    return found


def _is_xml(place: str) -> bool:
    return place.lower().endswith(".xml")


def _classes(root: Path, given: tuple[str, ...] | None, labels: list[str]) -> tuple[str, ...]:
    """Return the names given, or else those that objects have; none is a UserError."""
    if given is not None:
        if not given or len(set(given)) < len(given):
            raise UserError(
                f"ingest.source.classes: expected names without repeats, got {list(given)}"
            )
        return given
    found = {name for place in labels for name in names_in(root / place)}
    if not found:
        raise UserError(
            f"{root}: {len(labels)} XML files beside a picture of their name, and no object in "
            "them; expected Annotations/a.xml for JPEGImages/a.jpg, or a.xml beside a.jpg"
        )
    return tuple(sorted(found))


def _label(
    root: Path, place: str | None, index: dict[str, int], first: int
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the label of a picture, or why there is none."""
    if place is None:
        return None, "no label: no XML file has its name"
    try:
        return voc_label(root / place, index, first), None
    except UnusableError as error:
        return None, str(error)
