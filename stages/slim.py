"""Slim the student: `python -m stages.slim`."""

from __future__ import annotations

from pathlib import Path

import torch

from edgepress.backbones import bundle
from edgepress.pruning.slimmed import Slimmed
from edgepress.training.loop import Job
from stages import models
from stages.stage import Stage, main

STUDENT = Path("data/student")


def work(stage: Stage) -> None:
    """Read the student, remove channels, fine-tune, write data/slim."""
    method = stage.method("pruning", "slim")
    splits = models.read_splits(stage)
    record, student = bundle.load(STUDENT)
    torch.manual_seed(stage.seed)
    checkpoint = models.open_checkpoint(stage, "slim", splits.train.digest(), record.weights_sha256)
    with models.progress(stage) as progress:
        job = Job(student, splits.train, splits.val, stage.seed, checkpoint, progress)
        slimmed: Slimmed = method(job)
    draft = bundle.Draft(
        backbone=record.backbone,
        classes=record.classes,
        input=record.input,
        surgery=(*record.surgery, *slimmed.surgery),
        lineage=models.lineage(stage, student=STUDENT, selection=models.SELECTION),
    )
    outcome = models.Outcome(splits, slimmed.history)
    models.deliver(stage, "data/slim", slimmed.network, draft, outcome)
    checkpoint.clear()


if __name__ == "__main__":
    main("slim", work)
