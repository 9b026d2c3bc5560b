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
from edgepress.records.manifest import Split


class Pictures:
    """Every file below a folder that claims to be an image, by its place and by its name."""

    def __init__(self, root: Path, left_out: LeftOut, read: Collection[Path] = ()) -> None:
        """Walk `root`; files that are no images are counted, but for those `read` otherwise."""
        self.root = root
        self._by_name: dict[str, list[str]] = {}
        known = set(read)
        for path in walk(root, left_out):
            if claims_to_be_image(path):
                place = path.relative_to(root).as_posix()
                self._by_name.setdefault(path.name, []).append(place)
            elif path not in known:
                left_out.note(NOT_AN_IMAGE, path)

    def __iter__(self) -> Iterator[str]:
        """Yield the places of all pictures, relative to the folder."""
        for places in self._by_name.values():
            yield from places

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
            found = [each for each in found if said[each] <= {split}]
            found = [each for each in found if said[each]] or found
        if len(found) != 1:
            raise UnusableError(f"{NO_IMAGE}: {self._count(found)} {printable(name)}")
        return found[0]

    def behind(self, name: str) -> str:
        """Return the place that a name ends with, the longest there is, or `UnusableError`.

        So a path of another machine leads to the picture here.
        """
        parts = PurePosixPath(name).parts
        found = self._by_name.get(parts[-1], []) if parts else []
        for first in range(len(parts)):
            place = "/".join(parts[first:])
            if place in found:
                return place
        raise UnusableError(f"{NO_IMAGE}: {self._count([])} {printable(name)}")

    def _count(self, found: list[str]) -> str:
        if not found:
            return f"{self.root} has no"
        return f"{' and '.join(map(printable, found[:2]))} could both be"


def _splits(place: str) -> set[Split]:
    folders = PurePosixPath(place).parent.parts
    return {split for each in folders if (split := split_of_folder(each)) is not None}


def plain(name: str) -> str:
    """Return a name with forward slashes and without steps in place."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
