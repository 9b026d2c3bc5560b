"""Curate: choose which training images are worth training on: `python -m stages.curate`.

Reads data/embeddings and data/manifest, writes data/selection. Only images of the split `train` are
looked at; nothing of val or test is ever pruned.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from edgepress.curation.curate import Means, Source, decided
from edgepress.curation.engine import Local
from edgepress.curation.subset import subset
from edgepress.data.images import ImageSet
from edgepress.records.selection import Selection
from stages.stage import Stage, main

SCRATCH = Path(".edgepress/curate")


def work(stage: Stage) -> None:
    """Run the method of params.yaml on the training images' embeddings."""
    method = stage.method("curation", "curate")
    images = ImageSet.open(Path("data/manifest"), "train")
    shards, ids = subset(Path("data/embeddings"), images.ids, SCRATCH / "train")
    label = dict(zip(images.ids, images.labels.tolist(), strict=True))
    classes = np.array([label[name] for name in ids], np.int64)
    means = Means(SCRATCH / "runs", Local(os.cpu_count() or 1))
    with (
        decided(method, Source(shards, stage.seed, classes), means) as found,
        stage.output("data/selection") as folder,
    ):
        selection = found.save(folder)
        kept = classes[selection.kept(folder)]
    per_class = np.bincount(kept, minlength=len(images.classes)).tolist()
    stage.metrics(**_numbers(selection))
    stage.metrics(kept_per_class=dict(zip(images.classes, per_class, strict=True)))
    shutil.rmtree(SCRATCH, ignore_errors=True)


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
