"""Train the teacher: `python -m stages.train`."""

from __future__ import annotations

from stages import models
from stages.places import SELECTION, TEACHER
from stages.progress import lines
from stages.stage import Stage, main

USES = {
    "task": "tasks:labels tasks:answers tasks:training",
    "train.backbone": "backbones",
    "train.head": "heads",
    "train.recipe": "training",
}

PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read the kept images, train the teacher from scratch, write it."""
    with lines(stage.title) as progress:
        recipe = stage.method("training", "train.recipe")
        progress("reading images", 0, 0)
        splits = models.read_splits(stage)
        network = models.fresh(stage, "train", splits)
        checkpoint = models.open_checkpoint(stage, "train", splits.train.digest())
        history = recipe(models.job(stage, network, splits, checkpoint, progress))
        draft = models.draft(stage, "train", splits.task, selection=SELECTION)
        progress("judging and writing", 0, 0)
        models.deliver(stage, TEACHER, network, draft, models.Trained(splits, history))
        checkpoint.clear()


if __name__ == "__main__":
    main("train", work)
