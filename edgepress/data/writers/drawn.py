"""Usable pictures of a source of objects, each with what is on it and a file name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgepress.data.groups import named
from edgepress.data.inspection import inspect
from edgepress.data.labels import Seen
from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS, Found, admitted
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.reading import Encoded, encoded
from edgepress.data.walk import SUFFIXES
from edgepress.errors import UserError
from edgepress.records.manifest import Split

_SUFFIX = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


@dataclass(frozen=True)
class Drawn:
    """One picture."""

    name: str
    """File name, no other's of its split."""
    split: Split | None
    data: bytes
    """The encoded picture."""
    file: Path | None
    """The user's own file; None where it lies in a container."""
    size: tuple[int, int]
    """Width and height, upright."""
    objects: list[Found]


@dataclass(frozen=True)
class _Known:
    """What names and classes are known before a picture is opened."""

    names: dict[str, str]
    classes: int
    root: Path | None
    """Where paths that are files of the user's begin; None where they are not."""


def drawn(listing: Listing, folder: Path, aside: Counter[str]) -> Iterator[Drawn]:
    """Yield the usable pictures in the listing's order; `aside` counts the others by reason.

    `folder` is where the source may have put images of its own. A source of other labels is a
    UserError.
    """
    if listing.labels != OBJECTS:
        raise UserError(
            f"ingest.source: {listing.source} gives no objects; name a source of boxes, outlines "
            "or points"
        )
    files = listing.container == "file" and not listing.inside
    known = _Known(_names(listing), len(listing.classes), Path() if files else None)

    def work(group: list[Encoded]) -> list[Drawn | UnusableError]:
        return [_drawn(entry, data, known) for (entry, _), data in group]

    read = encoded(named(listing, folder, None), listing, folder)
    sized = chunks(read, lambda item: 0 if isinstance(item[1], UnusableError) else len(item[1]))
    for group in ordered(work, sized):
        for found in group:
            if isinstance(found, UnusableError):
                aside[str(found).split(":")[0]] += 1
            else:
                yield found


def _drawn(entry: Entry, data: bytes | UnusableError, known: _Known) -> Drawn | UnusableError:
    if isinstance(data, UnusableError):
        return data
    try:
        (facts,) = inspect([data])
        if facts.width is None or facts.height is None:
            raise UnusableError(facts.reason)
        size = (facts.width, facts.height)
        objects = admitted(entry.label, Seen(*size, facts.orientation), known.classes)
    except UnusableError as reason:
        return reason
    name = known.names[entry.id] + _suffix(entry, str(facts.format))
    file = None if known.root is None else known.root / entry.path
    return Drawn(name, entry.split, data, file, size, objects)


def _suffix(entry: Entry, kind: str) -> str:
    """Return the suffix of the picture's file, or what its format is called by."""
    suffix = PurePosixPath(entry.path).suffix
    if suffix.lower().removeprefix(".") in SUFFIXES:
        return suffix
    return _SUFFIX.get(kind, f".{kind.lower()}")


def _names(listing: Listing) -> dict[str, str]:
    """Return for each id its last part, or all of its parts where others end alike."""
    ids = [(entry.id, entry.split) for entry in listing.entries() if entry.problem is None]
    often = Counter((split, _bare(name).rpartition("/")[2]) for name, split in ids)
    found: dict[str, str] = {}
    taken: set[tuple[Split | None, str]] = set()
    for name, split in ids:
        wanted = _bare(name).rpartition("/")[2]
        if often[split, wanted] > 1:
            wanted = _bare(name).replace("/", "-")
        short, number = wanted, 1
        while (split, short) in taken:
            number += 1
            short = f"{wanted}-{number}"
        taken.add((split, short))
        found[name] = short
    return found


def _bare(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower().removeprefix(".") in SUFFIXES else name
