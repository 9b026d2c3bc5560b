"""Slim the student: `python -m stages.slim`."""

from __future__ import annotations

from dataclasses import replace

import torch

from edgepress.bundles import bundle
from edgepress.pruning.slimmed import Slimmed
from stages import models
from stages.places import SELECTION, SLIM, STUDENT
from stages.progress import lines
from stages.spread import main_by
from stages.stage import Stage

USES = {
    "task": "tasks:labels tasks:answers tasks:training tasks:balance",
    "distill.backbone": "backbones",
    "distill.head": "heads",
    "slim": "pruning",
}

PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read the student, remove channels, fine-tune, write it."""
    with lines(stage.title, silent=stage.follows) as progress:
        method = stage.method("pruning", "slim")
        progress("reading images", 0, 0)
        splits = models.read_splits(stage, progress)
        record, student = bundle.load(STUDENT)
        torch.manual_seed(stage.seed)
        checkpoint = models.open_checkpoint(
            stage, "slim", splits.train.digest(), record.weights_sha256
        )
        slimmed: Slimmed = method(models.job(stage, student, splits, checkpoint, progress))
        if stage.follows:
            return
        draft = replace(
            models.draft(stage, "distill", splits.task, {}, student=STUDENT, selection=SELECTION),
            surgery=(*record.surgery, *slimmed.surgery),
        )
        trained = models.Trained(splits, slimmed.history, progress)
        progress("judging and writing", 0, 0)
        models.deliver(stage, SLIM, slimmed.network, draft, trained)
        checkpoint.clear()


if __name__ == "__main__":
    main_by("slim", "slim", work)
