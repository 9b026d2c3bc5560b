"""Distil the student from the teacher: `python -m stages.distill`."""

from __future__ import annotations

from edgepress.bundles import bundle
from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from stages import models
from stages.places import SCRATCH, SELECTION, STUDENT, TEACHER
from stages.progress import lines
from stages.spread import main_by
from stages.stage import Stage

USES = {
    "task": "tasks:labels tasks:answers tasks:training tasks:balance",
    "train.backbone": "backbones",
    "train.head": "heads",
    "distill.backbone": "backbones",
    "distill.head": "heads",
    "distill.recipe": "distillation",
}
FILES = ("distill.weights", "distill.backbone")
PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read the teacher and the kept images, train the student, write it."""
    with lines(stage.title, silent=stage.follows) as progress:
        recipe = stage.method("distillation", "distill.recipe")
        progress("reading images", 0, 0)
        splits = models.read_splits(stage, progress)
        record, network = bundle.load(TEACHER)
        made_for = (record.task, record.classes, record.input)
        if made_for != (splits.task.entry, splits.task.classes, splits.train.spec):
            raise UserError(
                f"{TEACHER}: is for another task, classes or input than params.yaml; "
                "run train again"
            )
        teacher = Teacher(network, record.weights_sha256, SCRATCH / "teacher")
        student, origin = models.begun(stage, "distill", splits)
        checkpoint = models.open_checkpoint(
            stage, "distill", splits.train.digest(), record.weights_sha256, *origin.values()
        )
        history = recipe(models.job(stage, student, splits, checkpoint, progress), teacher)
        if stage.follows:
            return
        draft = models.draft(
            stage, "distill", splits.task, origin, teacher=TEACHER, selection=SELECTION
        )
        progress("judging and writing", 0, 0)
        models.deliver(stage, STUDENT, student, draft, models.Trained(splits, history, progress))
        checkpoint.clear()


if __name__ == "__main__":
    main_by("distill", "distill.recipe", work)
