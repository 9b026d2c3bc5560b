"""The float network's score on parts of the test split, for the report."""

from __future__ import annotations

from dataclasses import replace

from edgepress.data.images import ImageSet
from edgepress.records.quantized import REFERENCE, Quantized
from edgepress.report.run import Run
from edgepress.validation.slices import Items, slices
from stages.answers import opened
from stages.places import MANIFEST, QUANTIZED
from stages.stage import Stage


def with_slices(run: Run, stage: Stage) -> Run:
    """Add the parts by class, size and group; none where the reference is of other items."""
    folder = QUANTIZED / str(stage.raw("baseline"))
    if not (folder / Quantized.file_name).exists():
        return run
    task, reference = opened(folder)
    images = ImageSet.open(MANIFEST, "test")
    if tuple(images.ids) != reference.ids:
        why = f"Slices: {folder / REFERENCE} is of other items than {MANIFEST}; quantize again"
        return replace(run, absent=(*run.absent, why))
    names = [images.classes[index] if index >= 0 else None for index in images.strata.tolist()]
    items = Items(images.sizes, names, images.group_names)
    return replace(run, slices=slices(task, reference, items))
