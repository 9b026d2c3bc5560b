"""Stage ingest: list a source's images, look at every one, and write the manifest.

Reads the source, writes data/manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.params import validate
from stages.places import MANIFEST, PARAMS
from stages.stage import Stage, main

USES = {"ingest.source": "data.sources", "task": "tasks:labels"}
FILES = "ingest.source"


def work(stage: Stage) -> None:
    """Ingest the source of params.yaml."""
    source = stage.method("data.sources", "ingest.source")
    raw = {key: value for key, value in stage.raw("ingest").items() if key != "source"}
    rules = validate(Rules, raw, str(PARAMS), "ingest")
    with stage.output(MANIFEST) as folder:
        listing = source(folder)
        task = stage.task(listing.classes)
        with _counter() as seen:
            labelling = Labelling(task.entry, task.labels)
            manifest = build_manifest(listing, folder, rules, labelling, seen)
    stage.metrics(
        images=manifest.usable,
        quarantined=sum(manifest.quarantined.values()),
        reasons=manifest.quarantined,
        splits={str(split): count for split, count in manifest.items.items()},
        classes={str(split): per for split, per in manifest.counts.items()},
    )


@contextmanager
def _counter() -> Iterator[Callable[[int], None]]:
    """Count images on a terminal; stay silent elsewhere."""
    console = Console(stderr=True)
    columns = ("{task.description}: {task.completed} images", TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("ingest", total=None)
        yield lambda count: bar.advance(task, count)


if __name__ == "__main__":
    main("ingest", work)
