"""Write the report page and a model card per target: `python -m stages.report`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.bundle import Bundle
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import BUNDLE, REFERENCE, Quantized
from edgepress.records.record import write_atomically
from edgepress.records.reference import Reference
from edgepress.report.cards import card
from edgepress.report.page import render
from edgepress.report.run import ConceptRun, Run, Shown
from edgepress.tasks.task import Task, item
from stages.gather import gather
from stages.places import MANIFEST, QUANTIZED, REPORTS
from stages.stage import Stage, main

USES = {"task": "tasks:labels tasks:answers tasks:pictures"}
THUMBNAIL = 48
"""Longest side of a picture of a concept, in pixels."""
ANSWER = 160
"""Longest side of a picture with an answer, in pixels."""
ANSWERS = 12
"""Test items shown: those whose answer is farthest from the truth."""


def work(stage: Stage) -> None:
    """Read the run's records, write reports/."""
    spec = stage.section(InputSpec, "input")
    run = with_answers(with_pictures(gather(stage), spec), stage, spec)
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


def with_answers(run: Run, stage: Stage, spec: InputSpec) -> Run:
    """Add test items with their truth and the float network's answer; worst first."""
    folder = QUANTIZED / str(stage.raw("baseline"))
    if not (folder / Quantized.file_name).exists():
        return run
    bundle = Bundle.read(folder / BUNDLE)
    task = Task.open(bundle.task, bundle.classes, str(folder))
    reference = Reference.open(folder / REFERENCE, "")
    agreement = task.answers.agreement(reference.answers, reference.truth)
    wrong = np.argsort(agreement, kind="stable")[:ANSWERS]
    try:
        images = ImageSet.open(MANIFEST, ids=[reference.ids[row] for row in wrong])
        pixels = dict(zip(images.ids, images.pixels(_shrunk(spec, ANSWER)), strict=True))
    except UserError as error:
        return replace(run, absent=(*run.absent, f"Answers: {error}"))
    shown = []
    for row in wrong.tolist():
        name = reference.ids[row]
        picture = pixels[name]
        views = [("picture", "", _png(picture[:, :, 0] if spec.channels == 1 else picture))]
        for what, held in (("label", reference.truth), ("answer", reference.answers)):
            one = item(held, row)
            drawn = task.pictures.draw(picture, one, spec)
            views.append((what, task.pictures.caption(one), _png(drawn)))
        shown.append(Shown(name, f"agreement {agreement[row]:.3g}", tuple(views)))
    return replace(run, answers=tuple(shown))


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
    pixels = images.pixels(_shrunk(spec, THUMBNAIL))
    grey = spec.channels == 1
    return {
        name: _png(image[:, :, 0] if grey else image)
        for name, image in zip(images.ids, pixels, strict=True)
    }


def _shrunk(spec: InputSpec, side: int) -> InputSpec:
    """Return the input with its longest side at most `side` pixels."""
    shrink = min(1.0, side / max(spec.height, spec.width))
    sides = {"height": round(spec.height * shrink), "width": round(spec.width * shrink)}
    return spec.model_copy(update={name: max(1, each) for name, each in sides.items()})


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    main("report", work)
