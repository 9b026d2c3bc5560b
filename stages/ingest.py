"""Stage ingest: list a source's images, look at every one, and write the manifest.

Reads the source, writes data/manifest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.params import validate
from edgepress.progress import Progress
from edgepress.records.manifest import LEAK, Manifest
from stages.places import MANIFEST, PARAMS
from stages.progress import lines
from stages.stage import Stage, main

USES = {"ingest.source": "data.sources", "task": "tasks:labels"}
FILES = ("ingest.source",)


def work(stage: Stage) -> None:
    """Ingest the source of params.yaml."""
    source = stage.method("data.sources", "ingest.source")
    raw = {key: value for key, value in stage.raw("ingest").items() if key != "source"}
    rules = validate(Rules, raw, str(PARAMS), "ingest")
    with stage.output(MANIFEST) as folder, lines(stage.title) as progress:
        progress("listing the source", 0, 0)
        listing = source(folder)
        task = stage.task(listing.classes)
        labelling = Labelling(task.entry, task.labels)
        manifest = build_manifest(listing, folder, rules, labelling, _counter(progress))
    if listing.left_out.counts:
        sys.stderr.write(f"{stage.title}: left out: {listing.left_out}\n")
    for line in _said(manifest):
        sys.stderr.write(f"{stage.title}: {line}\n")
    stage.metrics(
        images=manifest.usable,
        left_out=dict(sorted(listing.left_out.counts.items())),
        quarantined=sum(manifest.quarantined.values()),
        reasons=manifest.quarantined,
        splits={str(split): count for split, count in manifest.items.items()},
        classes={str(split): per for split, per in manifest.counts.items()},
    )
    if manifest.groups is not None:
        stage.metrics(groups=manifest.groups.model_dump(exclude={"by"}))


def _said(manifest: Manifest) -> Iterator[str]:
    """Say how images were grouped and what left the training images as a leak."""
    groups = manifest.groups
    if groups is not None:
        yield (
            f"{groups.groups:,} groups by {groups.by}, the largest of {groups.largest:,} images; "
            f"{groups.alone:,} images are each a group of their own"
        )
    if leaks := manifest.quarantined.get(LEAK):
        yield f"quarantined as leaks: {leaks:,} images whose copy or group is in val or test"


def _counter(progress: Progress) -> Callable[[int], None]:
    """Return what adds up the images that were looked at; a source may not know how many it has."""
    looked = 0

    def seen(count: int) -> None:
        nonlocal looked
        looked += count
        progress("looking at images", looked, 0)

    return seen


if __name__ == "__main__":
    main("ingest", work)
