"""Ingestion: from a source's Listing to a Manifest, one pass over the images in bounded memory.

What an image shows can decide its split, so splits are settled once all were looked at: the rows
are written without, and copied with them in a second pass over the table alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from edgepress.data.drawing import Draw, Drawn
from edgepress.data.groups import KEY, named
from edgepress.data.items import Given, given
from edgepress.data.labels import LabelRules
from edgepress.data.listing import Entry, Listing
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.reading import Encoded, encoded
from edgepress.data.settling import LISTED, Tally, settle
from edgepress.data.splits import Fractions, limited, refuse_empty
from edgepress.data.storage import Storage
from edgepress.data.table import writing
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import IMAGES, TABLE, Manifest
from edgepress.records.record import sha256_file, sha256_folder


class Rules(Config):
    """How a source's images are shared out."""

    split: Fractions
    """Used for the splits the source does not bring itself."""
    limit: int | None = Field(gt=0)
    """At most this many images per split, chosen by id hash; null is all."""


@dataclass(frozen=True)
class Labelling:
    """What the images of a run are labelled for."""

    task: dict[str, Any]
    """The params.yaml entry of the task."""
    rules: LabelRules


def build_manifest(
    listing: Listing,
    folder: Path,
    rules: Rules,
    labelling: Labelling,
    seen: Callable[[int], None] = lambda count: None,
) -> Manifest:
    """Inspect every listed image and write manifest.parquet and manifest.json into `folder`.

    `seen` is told how many more images were inspected, time and again.
    What cannot be used is quarantined with its reason; a split or class left without any usable
    image is a UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = labelling.rules
    _refuse_labels(listing, labelling)
    _refuse_nameless(listing, folder, rules.split)
    draw = Draw(listing.splits, rules.split, rules.limit)
    with writing(folder, labels.schema(), LISTED) as table:
        for each in _inspected(listing, folder, rules, (labels, seen)):
            entry, name = each.image
            for kind in each.left_out:
                listing.left_out.note(kind, Path(entry.path))
            for item in each.items:
                draw.add(entry, name, item.facts)
                table.add(item.row(each.image))
    tally = Tally(listing.classes)
    drawn = settle(folder, labels.schema(), draw, tally)
    hint = _hint(rules, tally, drawn, listing)
    refuse_empty(tally.items, tally.counts, listing.where, hint)
    images = folder / IMAGES
    manifest = Manifest(
        source=listing.source,
        container=listing.container,
        column=listing.column,
        inside=listing.inside,
        task=labelling.task,
        classes=listing.classes,
        items=tally.items,
        counts=tally.counts,
        groups=drawn.groups,
        quarantined=dict(sorted(tally.reasons.items())),
        table_sha256=sha256_file(folder / TABLE),
        images_sha256=sha256_folder(images) if images.is_dir() else None,
    )
    manifest.write(folder)
    return manifest


def _hint(rules: Rules, tally: Tally, drawn: Drawn, listing: Listing) -> str:
    """Say what may help where a split or a class got no image."""
    if tally.reasons:
        return f"{tally.reasons.total()} were quarantined, for example {tally.example}"
    if not any(tally.items.values()) and listing.left_out.counts:
        return f"left out were {listing.left_out}"
    if drawn.groups is not None:
        usable = sum(tally.items.values())
        return (
            f"of {usable} the largest group, with those that copies link to it, has "
            f"{drawn.largest}; change {KEY} or raise ingest.split"
        )
    if rules.limit is not None:
        return "raise ingest.limit or ingest.split, or add images"
    return "raise ingest.split or add images"


def _refuse_labels(listing: Listing, labelling: Labelling) -> None:
    """Refuse a source whose labels are not the task's, or that names too few classes."""
    name = labelling.task.get("method")
    if listing.labels != labelling.rules.source():
        raise UserError(
            f"ingest.source: {listing.source} gives labels of type {listing.labels}, the task "
            f"{name} takes {labelling.rules.source()}; choose another source or task"
        )
    least = labelling.rules.least_classes
    if len(listing.classes) < least:
        raise UserError(
            f"{listing.where}: expected at least {least} classes, found {list(listing.classes)}"
        )


def _refuse_nameless(listing: Listing, folder: Path, split: Fractions) -> None:
    """Refuse a way to group that says nothing of any image, before one is read."""
    by = split.group
    if by is None or by.by not in ("id", "column"):
        return
    first: Entry | None = None
    for entry, name in named(listing, folder, by):
        if name is not None:
            return
        first = first or entry
    if first is not None:
        said = (
            f"pattern: {by.pattern!r} is found in no id"
            if by.by == "id"
            else f"column: {by.column!r} has no value for any image"
        )
        raise UserError(f"{KEY}.{said}, for example {first.id}")


def _inspected(
    listing: Listing,
    folder: Path,
    rules: Rules,
    how: tuple[LabelRules, Callable[[int], None]],
) -> Iterator[Given]:
    labels, seen = how
    wanted: set[str] | None = None
    images = partial(named, listing, folder, rules.split.group)
    if rules.limit is not None:
        wanted = limited(images(), listing.splits, rules.split, rules.limit)
    chosen = (image for image in images() if wanted is None or image[0].id in wanted)
    read = encoded(chosen, listing, folder)
    groups = chunks(read, lambda item: 0 if isinstance(item[1], UnusableError) else len(item[1]))
    files = Storage("file", folder if listing.inside else Path())

    def work(group: list[Encoded]) -> list[Given]:
        return given(group, labels, files.file)

    for group in ordered(work, groups):
        yield from group
        seen(len(group))
