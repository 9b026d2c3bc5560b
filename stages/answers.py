"""Test items with their truth and answers drawn over them, for the report."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.bundle import Bundle
from edgepress.records.changed import Changed
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import BUNDLE, REFERENCE, Quantized
from edgepress.records.reference import OpenReference, Reference
from edgepress.records.tensors import Arrays
from edgepress.report.run import Run, Shown, TargetRun
from edgepress.tasks.task import Task, item
from stages.places import MANIFEST, MEASURED, QUANTIZED
from stages.stage import Stage

SIDE = 160
"""Longest side of a picture with an answer, in pixels."""
WORST = 12
"""Test items shown of the float network: those whose answer is farthest from the truth."""
Picture = npt.NDArray[np.uint8]


def with_answers(run: Run, stage: Stage, spec: InputSpec) -> Run:
    """Add test items: the float network's worst, and those that each export changed most."""
    reading = cache(opened)  # several targets are held against one reference
    baseline = QUANTIZED / str(stage.raw("baseline"))
    worst = _worst(*reading(baseline)) if (baseline / Quantized.file_name).exists() else ()
    changed = {target.key: _changed(target, reading) for target in run.targets}
    every = [*worst, *(each for items in changed.values() for each in items)]
    try:
        pixels = _pixels((each.id for each in every), spec)
    except UserError as error:
        return replace(run, absent=(*run.absent, f"Answers: {error}"))

    def drawn(items: tuple[_Item, ...]) -> tuple[Shown, ...]:
        return tuple(each.shown(pixels[each.id], spec) for each in items)

    targets = [replace(target, changed=drawn(changed[target.key])) for target in run.targets]
    return replace(run, answers=drawn(worst), targets=tuple(targets))


@dataclass(frozen=True)
class _Item:
    """One test item before its picture is read."""

    id: str
    why: str
    sides: tuple[tuple[str, Arrays], ...]
    """Name and arrays, of one item, of the truth and of answers."""
    task: Task

    def shown(self, picture: Picture, spec: InputSpec) -> Shown:
        """Draw every side; where a drawing adds nothing to the picture, in words alone."""
        plain = np.broadcast_to(picture, (*picture.shape[:2], 3))
        draw, caption = self.task.pictures.draw, self.task.pictures.caption
        drawn = [draw(picture, held, spec) for _, held in self.sides]
        bare = all(np.array_equal(each, plain) for each in drawn)
        views: list[tuple[str, str, bytes | None]] = [("picture", "", png(picture))]
        for (what, held), each in zip(self.sides, drawn, strict=True):
            views.append((what, caption(held), None if bare else png(each)))
        return Shown(self.id, self.why, tuple(views))


def _worst(task: Task, reference: OpenReference) -> tuple[_Item, ...]:
    agreement = task.answers.agreement(reference.answers, reference.truth)
    # Of wrong answers the surest is the worst, of right ones the least sure.
    sure = reference.answers.get("confidence", agreement)
    sure = sure if sure.shape == agreement.shape else agreement
    doubt = np.where(agreement < 1, -1, 1) * np.nan_to_num(sure)
    worst = np.lexsort((doubt, agreement))[:WORST].tolist()
    return tuple(
        _Item(
            reference.ids[row],
            f"agreement {agreement[row]:.3g}",
            (("label", item(reference.truth, row)), ("answer", item(reference.answers, row))),
            task,
        )
        for row in worst
    )


def _changed(
    target: TargetRun, reading: Callable[[Path], tuple[Task, OpenReference]]
) -> tuple[_Item, ...]:
    """Return the answers that validate kept, beside the truth and the float network's."""
    precision = target.target.precision
    folder, quantized = MEASURED / target.key, QUANTIZED / precision
    if not (folder / Changed.file_name).exists():
        return ()
    held = Changed.open(folder)
    if not held.ids or not (quantized / Quantized.file_name).exists():
        return ()
    task, reference = reading(quantized)
    rows = {name: row for row, name in enumerate(reference.ids)}
    missing = [name for name in held.ids if name not in rows]
    if missing:
        raise UserError(
            f"{folder / Changed.file_name}: {missing[0]} is none of the test items of "
            f"{quantized / REFERENCE}; validate it again"
        )
    return tuple(
        _Item(
            name,
            f"agreement {agreement:.3g}",
            (
                ("label", item(reference.truth, rows[name])),
                ("float", item(reference.answers, rows[name])),
                (precision, item(held.answers, place)),
            ),
            task,
        )
        for place, (name, agreement) in enumerate(zip(held.ids, held.agreement, strict=True))
    )


def opened(folder: Path) -> tuple[Task, OpenReference]:
    """Open a precision's task and reference."""
    bundle = Bundle.read(folder / BUNDLE)
    task = Task.open(bundle.task, bundle.classes, str(folder))
    return task, Reference.open(folder / REFERENCE, "")


def _pixels(ids: Iterable[str], spec: InputSpec) -> dict[str, Picture]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    images = ImageSet.open(MANIFEST, ids=wanted)
    shown = map(_enlarged, images.pixels(shrunk(spec, SIDE)))
    return dict(zip(images.ids, shown, strict=True))


def _enlarged(picture: Picture) -> Picture:
    """Return a small picture with each pixel several times, so that what is drawn is fine."""
    times = max(1, SIDE // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def shrunk(spec: InputSpec, side: int) -> InputSpec:
    """Return the input with its longest side at most `side` pixels."""
    shrink = min(1.0, side / max(spec.height, spec.width))
    sides = {"height": round(spec.height * shrink), "width": round(spec.width * shrink)}
    return spec.model_copy(update={name: max(1, each) for name, each in sides.items()})


def png(picture: Picture) -> bytes:
    """Return a picture [H, W, 1 or 3] as PNG."""
    file = io.BytesIO()
    plain = picture[:, :, 0] if picture.shape[2] == 1 else picture
    Image.fromarray(np.ascontiguousarray(plain)).save(file, "PNG", optimize=True)
    return file.getvalue()
