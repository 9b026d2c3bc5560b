"""Train the teacher: `python -m stages.train`."""

from __future__ import annotations

from edgepress.errors import UserError
from edgepress.records.manifest import Manifest
from edgepress.records.selection import Selection
from edgepress.training.weights import refuse_unknown
from stages import models
from stages.places import MANIFEST, PARAMS, SELECTION, TEACHER
from stages.progress import lines
from stages.spread import main_by
from stages.stage import Stage

USES = {
    "task": "tasks:labels tasks:answers tasks:training tasks:balance",
    "train.backbone": "backbones",
    "train.head": "heads",
    "train.recipe": "training",
}
FILES = ("train.weights", "train.backbone")
PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read the kept images, train the teacher from scratch or given weights, write it."""
    _refuse_uncalibrated(stage)
    _refuse_unknown_classes(stage)
    with lines(stage.title, silent=stage.follows) as progress:
        recipe = stage.method("training", "train.recipe")
        progress("reading images", 0, 0)
        splits = models.read_splits(stage, progress)
        whole = not getattr(recipe.module, "LEARNS", True)
        network, origin = models.begun(stage, "train", splits, whole=whole)
        checkpoint = models.open_checkpoint(stage, "train", splits.train.digest(), *origin.values())
        history = recipe(models.job(stage, network, splits, checkpoint, progress))
        if stage.follows:
            return
        draft = models.draft(stage, "train", splits.task, origin, selection=SELECTION)
        progress("judging and writing", 0, 0)
        models.deliver(stage, TEACHER, network, draft, models.Trained(splits, history, progress))
        checkpoint.clear()


def _refuse_uncalibrated(stage: Stage) -> None:
    """Refuse now what quantize would refuse after all training: too few images to calibrate on.

    No parameter of this stage: another number of images changes nothing that is learnt.
    """
    kept = Selection.read(SELECTION).budget
    for name in stage.raw("precisions"):
        asked = stage.raw(f"quantize.{name}").get("images", 0)
        if asked > kept:
            raise UserError(
                f"{PARAMS}: quantize.{name}.images: {asked} asked for, only {kept} training images "
                f"are kept; ask for at most {kept}"
            )


def _refuse_unknown_classes(stage: Stage) -> None:
    """Refuse now what distill and slim would refuse after all training: weights of no class."""
    for key in ("train.recipe", "distill.recipe", "slim"):
        named = stage.raw(key).get("class_weights")
        if isinstance(named, dict):
            classes = Manifest.read(MANIFEST).classes
            refuse_unknown(named, classes, f"{PARAMS}: {key}.class_weights")


if __name__ == "__main__":
    main_by("train", "train.recipe", work)
