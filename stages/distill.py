"""Distil the student from the teacher: `python -m stages.distill`."""

from __future__ import annotations

from pathlib import Path

import torch

from edgepress.backbones import bundle
from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.training.loop import Job
from stages import models
from stages.stage import Stage, main

TEACHER = Path("data/teacher")


def work(stage: Stage) -> None:
    """Read the teacher and the kept images, train the student, write data/student."""
    backbone = stage.method("backbones", "distill.backbone")
    recipe = stage.method("distillation", "distill.recipe")
    splits = models.read_splits(stage)
    record, network = bundle.load(TEACHER)
    if record.classes != splits.classes or record.input != splits.train.spec:
        raise UserError(f"{TEACHER}: has other classes or another input than params.yaml; train")
    teacher = Teacher(network, record.weights_sha256, models.STATE / "teacher")
    torch.manual_seed(stage.seed)
    student = backbone(splits.train.spec.channels, len(splits.classes))
    checkpoint = models.open_checkpoint(
        stage, "distill", splits.train.digest(), record.weights_sha256
    )
    with models.progress(stage) as progress:
        job = Job(student, splits.train, splits.val, stage.seed, checkpoint, progress)
        history = recipe(job, teacher)
    draft = bundle.Draft(
        backbone=stage.raw("distill.backbone"),
        classes=splits.classes,
        input=splits.train.spec,
        lineage=models.lineage(stage, teacher=TEACHER, selection=models.SELECTION),
    )
    models.deliver(stage, "data/student", student, draft, models.Outcome(splits, history))
    checkpoint.clear()


if __name__ == "__main__":
    main("distill", work)
