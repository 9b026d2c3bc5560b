"""Train the teacher: `python -m stages.train`."""

from __future__ import annotations

from pathlib import Path

import torch

from edgepress.backbones.bundle import Draft
from edgepress.training.loop import Job
from stages import models
from stages.stage import Stage, main


def work(stage: Stage) -> None:
    """Read the kept images, train the teacher from scratch, write data/teacher."""
    backbone = stage.method("backbones", "train.backbone")
    recipe = stage.method("training", "train.recipe")
    splits = models.read_splits(stage)
    torch.manual_seed(stage.seed)
    network = backbone(splits.train.spec.channels, len(splits.classes))
    checkpoint = models.open_checkpoint(stage, "train", splits.train.digest())
    with models.progress(stage) as progress:
        job = Job(network, splits.train, splits.val, stage.seed, checkpoint, progress)
        history = recipe(job)
    draft = Draft(
        backbone=stage.raw("train.backbone"),
        classes=splits.classes,
        input=splits.train.spec,
        lineage=models.lineage(stage, selection=Path("data/selection")),
    )
    models.deliver(stage, "data/teacher", network, draft, models.Outcome(splits, history))
    checkpoint.clear()


if __name__ == "__main__":
    main("train", work)
