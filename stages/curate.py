"""Curate: choose which training images are worth training on: `python -m stages.curate`.

Reads data/embeddings and data/manifest, writes data/selection. Only images of the split `train` are
looked at; nothing of val or test is ever pruned.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import numpy.typing as npt

from edgepress.curation.curate import Compute, Source, curated
from edgepress.data.images import ImageSet
from edgepress.data.rules import Limits
from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.selection import Selection
from edgepress.vectors.subset import subset
from edgepress.workers.local import Local
from stages.places import EMBEDDINGS, MANIFEST, SCRATCH, SELECTION
from stages.progress import lines
from stages.stage import Stage, main

USES = {"curate": "curation"}
PROCESSOR = "instructions"
WORK = SCRATCH / "curate"


def work(stage: Stage) -> None:
    """Run the method of params.yaml on the training images' embeddings."""
    method = stage.method("curation", "curate")
    images = ImageSet.open(MANIFEST, "train")
    shards, ids = subset(EMBEDDINGS, images.ids, WORK / "train")
    stratum = dict(zip(images.ids, images.strata.tolist(), strict=True))
    classes = np.array([stratum[name] for name in ids], np.int64)
    with (
        lines(stage.title) as progress,
        curated(method, Source(shards, stage.seed, classes), _compute(progress)) as found,
        stage.output(SELECTION) as folder,
    ):
        selection = found.save(folder)
        kept = classes[selection.kept(folder)]
        counts = np.bincount(kept[kept >= 0], minlength=len(images.classes)).tolist()
        per_class = dict(zip(images.classes, counts, strict=True))
        _refuse_lost(stage, per_class, classes)
    stage.metrics(**_numbers(selection))
    stage.metrics(kept_per_class=per_class)
    shutil.rmtree(WORK, ignore_errors=True)


def _compute(progress: Progress) -> Compute:
    progress("choosing rows", 0, 0)
    return Compute(WORK / "runs", Local(os.cpu_count() or 1), progress=progress)


def _refuse_lost(stage: Stage, kept: dict[str, int], classes: npt.NDArray[np.int64]) -> None:
    """Hold `check.min_per_class` again: curation must not take what the check demanded."""
    least = stage.section(Limits, "check").min_per_class.train
    before = np.bincount(classes[classes >= 0], minlength=len(kept)).tolist()
    lost = {
        name: count
        for (name, count), had in zip(kept.items(), before, strict=True)
        if had >= least > count
    }
    if lost:
        name, count = min(lost.items(), key=lambda pair: pair[1])
        raise UserError(
            f"curate: {count} images of class {name!r} would be kept, check.min_per_class.train "
            f"asks for {least}"
            + f" ({len(lost)} classes in all)" * (len(lost) > 1)
            + f"; set curate.class_floor: {least} or raise curate.keep"
        )


def _numbers(selection: Selection) -> dict[str, int | float]:
    concepts = selection.concepts
    return {
        "rows": selection.rows,
        "kept": selection.budget,
        "kept_share": selection.budget / selection.rows,
        "concepts": len(concepts),
        "empty_concepts": sum(concept.size == 0 for concept in concepts),
        "duplicates": sum(concept.duplicates for concept in concepts),
    }


if __name__ == "__main__":
    main("curate", work)
