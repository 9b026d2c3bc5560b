"""Pictures below a folder, found by the names that files of labels call them by."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from edgepress.data.picture import UnusableError
from edgepress.data.sources._names import split_of_folder
from edgepress.data.sources._objects import NO_IMAGE
from edgepress.data.walk import NO_IMAGE as NOT_AN_IMAGE
from edgepress.data.walk import LeftOut, claims_to_be_image, printable, walk
from edgepress.errors import UserError
from edgepress.records.manifest import Split


class Pictures:
    """Every file below a folder that claims to be an image, by its place and by its name."""

    def __init__(self, root: Path, left_out: LeftOut) -> None:
        """Walk `root`."""
        self.root = root
        self.others: list[str] = []
        """Places of the files that are no images."""
        self._left_out = left_out
        self._by_name: dict[str, list[str]] = {}
        for path in walk(root, left_out):
            place = path.relative_to(root).as_posix()
            if claims_to_be_image(path):
                self._by_name.setdefault(path.name, []).append(place)
            else:
                self.others.append(place)

    def __iter__(self) -> Iterator[str]:
        """Yield the places of all pictures, relative to the folder."""
        for places in self._by_name.values():
            yield from places

    def note_others(self, read: Collection[str]) -> None:
        """Count the files that are no images and were not `read` otherwise."""
        for place in self.others:
            if place not in read:
                self._left_out.note(NOT_AN_IMAGE, Path(place))

    def under(self, name: str, folder: str, split: Split | None) -> str:
        """Return the place of what a file of labels in `folder` calls `name`, or `UnusableError`.

        The name may lack folders that come before it. Beside the labels comes first; then a folder
        that is named for their split; one that is named for another split is never taken.
        """
        beside = posixpath.normpath(f"{folder}/{name}")
        found = self._by_name.get(PurePosixPath(name).name, [])
        if beside in found:
            return beside
        found = [each for each in found if each == name or each.endswith(f"/{name}")]
        if split is not None:
            said = {each: _splits(each) for each in found}
            found = [each for each in found if set(said[each]) <= {split}]
            found = [each for each in found if said[each]] or found
        if len(found) != 1:
            raise UnusableError(f"{NO_IMAGE}: {self._count(found)} {printable(name)}")
        return found[0]

    def behind(self, name: str) -> str:
        """Return the place that a name ends with, the longest there is, or `UnusableError`.

        So a path of another machine leads to the picture here.
        """
        found = self._by_name.get(PurePosixPath(name).name, [])
        for place in endings(name):
            if place in found:
                return place
        raise UnusableError(f"{NO_IMAGE}: {self._count([])} {printable(plain(name))}")

    def _count(self, found: list[str]) -> str:
        if not found:
            return f"{self.root} has no"
        return f"{' and '.join(map(printable, found[:2]))} could both be"


def split_of(place: str) -> Split | None:
    """Return the split that the first of a place's folders is named for, if any is."""
    return next(iter(_splits(place)), None)


def below(root: Path, name: str, key: str) -> Path:
    """Return the file of a name in a set's folder; one that lies elsewhere is a UserError."""
    place = posixpath.normpath(name)
    if place.startswith(("/", "..")):
        raise UserError(
            f"{key}: {name} does not lie below {root}; set ingest.source.path to a folder of both"
        )
    return root / place


def endings(name: str) -> Iterator[str]:
    """Yield a path, then what is left of it without its first folder, and so on to its name."""
    parts = [part for part in plain(name).split("/") if part != ".."]
    for first in range(len(parts)):
        yield "/".join(parts[first:])


def plain(name: str) -> str:
    """Return a name with forward slashes and without steps in place."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _splits(place: str) -> list[Split]:
    folders = PurePosixPath(place).parent.parts
    return [split for each in folders if (split := split_of_folder(each)) is not None]
