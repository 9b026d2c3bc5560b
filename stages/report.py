"""Write the report page and a model card per target: `python -m stages.report`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.record import write_atomically
from edgepress.report.cards import card
from edgepress.report.page import render
from edgepress.report.run import ConceptRun, Run
from stages.answers import png, shrunk, with_answers
from stages.gather import gather
from stages.places import MANIFEST, REPORTS
from stages.progress import lines
from stages.slices import with_slices
from stages.stage import Stage, main

USES = {"task": "tasks:labels tasks:answers tasks:pictures"}
THUMBNAIL = 48
"""Longest side of a picture of a concept, in pixels."""


def work(stage: Stage) -> None:
    """Read the run's records, write reports/."""
    spec = stage.section(InputSpec, "input")
    with lines(stage.title) as progress:
        progress("reading records", 0, 0)
        found = replace(gather(stage), hub=stage.task(("a", "b")).pictures.hub)
        progress("drawing pictures", 0, 0)
        run = with_answers(with_pictures(found, spec), stage, spec)
        progress("scoring slices", 0, 0)
        run = with_slices(run, stage)
        progress("writing page and cards", 0, 0)
        _write(stage, run)


def _write(stage: Stage, run: Run) -> None:
    with stage.output(REPORTS) as folder:
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


def _ids(concepts: Iterable[ConceptRun]) -> set[str]:
    return {
        example.id
        for concept in concepts
        for example in (*concept.kept_examples, *concept.pruned_examples)
    }


def _thumbnails(wanted: set[str], spec: InputSpec) -> dict[str, bytes]:
    images = ImageSet.open(MANIFEST, ids=wanted)
    pixels = images.pixels(shrunk(spec, THUMBNAIL))
    return {name: png(image) for name, image in zip(images.ids, pixels, strict=True)}


if __name__ == "__main__":
    main("report", work)
