"""Ingestion: from a source's Listing to a Manifest, one pass over the images in bounded memory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from edgepress.data.inspection import Facts, inspect
from edgepress.data.labels import Admitted, LabelRules, Read, Seen
from edgepress.data.listing import Entry, Listing
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.splits import Fractions, Together, limited, refuse_empty
from edgepress.data.storage import Storage
from edgepress.data.table import writing
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.manifest import IMAGES, SPLITS, TABLE, Manifest, Split
from edgepress.records.record import sha256_file, sha256_folder

_Read = tuple[Entry, bytes | UnusableError]
_Inspected = tuple[Entry, Facts, Admitted]


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
    tally = _Tally(listing.classes)
    together = Together(listing.splits, rules.split)
    with writing(folder, labels.schema()) as table:
        for entry, facts, admitted in _inspected(listing, folder, rules, (labels, seen)):
            split = together.draw(entry, facts.sha256)
            table.add(_row(entry, split, facts, admitted))
            tally.add(entry, split, facts, admitted)
    refuse_empty(tally.items, tally.counts, listing.where, tally.hint(rules))
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
        quarantined=dict(sorted(tally.reasons.items())),
        table_sha256=sha256_file(folder / TABLE),
        images_sha256=sha256_folder(images) if images.is_dir() else None,
    )
    manifest.write(folder)
    return manifest


class _Tally:
    """Usable items per split and class, unusable ones per kind of reason, with an example."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self.items: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self.counts: dict[Split, dict[str, int]] = {s: dict.fromkeys(classes, 0) for s in SPLITS}
        self.reasons: Counter[str] = Counter()
        self._example = ""

    def add(self, entry: Entry, split: Split, facts: Facts, admitted: Admitted) -> None:
        if facts.reason:
            self.reasons[facts.reason.split(":")[0]] += 1
            self._example = self._example or f"{entry.id} ({facts.reason})"
            return
        self.items[split] += 1
        for index in admitted.classes:
            self.counts[split][self._classes[index]] += 1

    def hint(self, rules: Rules) -> str:
        if self.reasons:
            return f"{self.reasons.total()} were quarantined, for example {self._example}"
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


def _inspected(
    listing: Listing,
    folder: Path,
    rules: Rules,
    how: tuple[LabelRules, Callable[[int], None]],
) -> Iterator[_Inspected]:
    labels, seen = how
    wanted: set[str] | None = None
    if rules.limit is not None:
        wanted = limited(listing.entries(), listing.splits, rules.split, rules.limit)
    read = _read(listing, folder, wanted)
    groups = chunks(read, lambda item: 0 if isinstance(item[1], UnusableError) else len(item[1]))
    files = Storage("file", folder if listing.inside else Path())

    def work(group: list[_Read]) -> list[_Inspected]:
        facts = inspect([data for _, data in group])
        pairs = zip(group, facts, strict=True)
        return [_admit(entry, fact, labels, files.file) for (entry, _), fact in pairs]

    for group in ordered(work, groups):
        yield from group
        seen(len(group))


def _admit(entry: Entry, facts: Facts, labels: LabelRules, read: Read) -> _Inspected:
    """Ask the task whether the label may be used, where the picture may."""
    if facts.reason or facts.width is None or facts.height is None:
        return entry, facts, Admitted(None, ())
    try:
        seen = Seen(facts.width, facts.height, facts.orientation)
        return entry, facts, labels.admit(entry.label, seen, read)
    except UnusableError as error:
        return entry, dataclasses.replace(facts, reason=str(error)), Admitted(None, ())


def _read(listing: Listing, folder: Path, wanted: set[str] | None) -> Iterator[_Read]:
    storage = Storage(listing.container, folder if listing.inside else Path(), listing.column)
    try:
        for entry in listing.entries():
            if wanted is not None and entry.id not in wanted:
                continue
            if entry.problem is not None:
                yield entry, UnusableError(entry.problem)
                continue
            try:
                yield entry, storage.read(entry.path, entry.row, entry.offset, entry.length)
            except UnusableError as reason:
                yield entry, reason
    finally:
        storage.close()


def _row(entry: Entry, split: Split, facts: Facts, admitted: Admitted) -> dict[str, Any]:
    place = {k: getattr(entry, k) for k in ("id", "path", "row", "offset", "length")}
    label = {"label": admitted.label, "classes": list(admitted.classes)}
    status = "quarantined" if facts.reason else "ok"
    return {**place, **label, "split": split, "status": status, **dataclasses.asdict(facts)}
