"""Walk: the files below a folder, by the one rule that every reader of images goes by.

Names that start with a dot are passed over, files and folders alike. Links to files and folders are
followed; a folder that was entered already, by whatever way, is not entered again, so that a loop
of links ends. The order is that of the names. What is passed over is counted by kind.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edgepress.errors import UserError

SUFFIXES = frozenset(
    ["jpg", "jpeg", "jpe", "jfif", "jif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"]
    + ["ppm", "pgm", "pbm", "pnm", "heic", "heif", "avif", "jp2", "jxl"]
)
"""Suffixes that say a file is an image, whether or not it can be read."""
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*"),
    *(b"P%d" % kind + space for kind in range(1, 7) for space in (b" ", b"\t", b"\n", b"\r")),
)
NO_IMAGE = "no image"


class LeftOut:
    """What was passed over: how often each kind, and the first of it by name."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def note(self, kind: str, path: Path) -> None:
        """Count a path of some kind."""
        self.counts[kind] += 1
        self._first.setdefault(kind, printable(path.name))

    def __str__(self) -> str:
        """Say how many of each kind there were, with an example; empty where there were none."""
        kinds = self.counts.most_common()
        return ", ".join(f"{count:,} {kind} ({self._first[kind]})" for kind, count in kinds)


def walk(root: Path, left_out: LeftOut | None = None) -> Iterator[Path]:
    """Yield every visible file below `root`; a link that leads nowhere counts as one."""
    return _below(root, set(), LeftOut() if left_out is None else left_out)


def images(root: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yield every visible file below `root` that claims to be an image."""
    for path in walk(root, left_out):
        if claims_to_be_image(path):
            yield path
        else:
            left_out.note(NO_IMAGE, path)


def visible(path: Path) -> bool:
    """Tell a file or folder that the walk enters from a hidden one."""
    return not path.name.startswith(".")


def claims_to_be_image(path: Path) -> bool:
    """Tell by suffix, else by the first bytes, whether a file wants to be read as an image.

    One that cannot be opened does: it is for the reader to say what is wrong with it.
    """
    if path.suffix.lower().removeprefix(".") in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return True
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def printable(name: str) -> str:
    """Return a name with the bytes that are not UTF-8 written out."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def decodable(name: str) -> bool:
    """Tell whether a name is UTF-8, as ids must be."""
    return printable(name) == name


def refuse_undecodable(path: Path) -> None:
    """Raise a UserError for a path that is not UTF-8 and cannot be set aside on its own."""
    if not decodable(str(path)):
        raise UserError(f"{os.fsencode(path)!r}: the name is not UTF-8; rename it")


def _below(folder: Path, entered: set[tuple[int, int]], left_out: LeftOut) -> Iterator[Path]:
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in entered:
        left_out.note("folder linked a second time", folder)
        return
    entered.add(place)
    with os.scandir(folder) as scan:
        items = sorted(scan, key=lambda item: item.name)
    for item in items:
        path = folder / item.name
        if not visible(path):
            left_out.note("hidden", path)
        elif path.is_dir() if item.is_symlink() else item.is_dir():
            yield from _below(path, entered, left_out)
        elif item.is_symlink() or item.is_file():
            yield path
        else:
            left_out.note("neither file nor folder", path)
