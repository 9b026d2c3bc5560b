"""Write the report page and a model card per target: `python -m stages.report`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace

from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.record import write_atomically
from edgepress.report.cards import card
from edgepress.report.page import render
from edgepress.report.run import Concept, Run
from stages.gather import MANIFEST, gather
from stages.stage import Stage, main

THUMBNAIL = 48
"""Longest side of a picture on the page, in pixels."""


def work(stage: Stage) -> None:
    """Read the run's records, write reports/."""
    run = with_pictures(gather(stage), stage.section(InputSpec, "input"))
    with stage.output("reports") as folder:
        page = render(run)
        write_atomically(folder / "index.html", page)
        for target in run.targets:
            write_atomically(folder / "cards" / f"{target.key}.md", card(run, target))
    stage.metrics(
        targets=len(run.targets),
        passed=run.count("pass"),
        failed=run.count("fail"),
        not_run=run.count("not-run"),
        page_bytes=len(page.encode()),
    )


def with_pictures(run: Run, spec: InputSpec) -> Run:
    """Add thumbnails of the examples, as the model sees them; say so if they cannot be read."""
    if run.curation is None:
        return run
    wanted = _ids(run.curation.concepts)
    if not wanted:
        return run
    try:
        thumbnails = _thumbnails(wanted, spec)
    except UserError as error:
        return replace(run, absent=(*run.absent, f"Pictures: {error}"))
    return replace(run, thumbnails=thumbnails)


def _ids(concepts: Iterable[Concept]) -> set[str]:
    return {
        example.id
        for concept in concepts
        for example in (*concept.kept_examples, *concept.pruned_examples)
    }


def _thumbnails(wanted: set[str], spec: InputSpec) -> dict[str, bytes]:
    shrink = min(1.0, THUMBNAIL / max(spec.height, spec.width))
    sides = {"height": round(spec.height * shrink), "width": round(spec.width * shrink)}
    small = spec.model_copy(update={name: max(1, side) for name, side in sides.items()})
    images = ImageSet.open(MANIFEST, ids=wanted)
    pixels = images.pixels(small)
    grey = spec.channels == 1
    found = {}
    for name, image in zip(images.ids, pixels, strict=True):
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0] if grey else image).save(file, "PNG", optimize=True)
        found[name] = file.getvalue()
    return found


if __name__ == "__main__":
    main("report", work)
