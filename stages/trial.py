"""One trial of `edgepress sweep`: `python -m stages.trial train|distill PARAMS`.

Trains as the stage of that name would with the values of another params.yaml, on the images that
are there, and writes the record of each epoch to standard output as a line of JSON. No output of
the pipeline is touched.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgepress.bundles import bundle
from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.params import read_yaml
from edgepress.training.checkpoint import Checkpoint
from stages import models
from stages.places import SCRATCH, TEACHER
from stages.progress import lines
from stages.stage import Stage

USES = {
    "task": "tasks:labels tasks:answers tasks:training",
    "train.backbone": "backbones",
    "train.head": "heads",
    "{key}.backbone": "backbones",
    "{key}.head": "heads",
    "{key}.recipe": "training distillation",
}


def train_once(stage: Stage, kept: Path) -> None:
    """Train one network of params.yaml and forget it; checkpoints are in folders below `kept`."""
    section = str(stage.key)
    with lines(stage.title) as progress:
        room = "distillation" if section == "distill" else "training"
        recipe = stage.method(room, f"{section}.recipe")
        splits = models.read_splits(stage, progress)
        network, origin = models.begun(stage, section, splits)
        inputs = [splits.train.digest(), *origin.values()]
        teacher: list[Teacher] = []
        if section == "distill":
            record, taught = bundle.load(TEACHER)
            teacher.append(Teacher(taught, record.weights_sha256, SCRATCH / "teacher"))
            inputs.append(record.weights_sha256)
        opened = models.open_checkpoint(stage, section, *inputs)
        checkpoint = Checkpoint(kept / opened.folder.name)
        job = models.job(stage, network, splits, checkpoint, progress)
        recipe(replace(job, heard=_write), *teacher)
        checkpoint.clear()


def _write(record: Mapping[str, float]) -> None:
    sys.stdout.write(json.dumps(dict(record)) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run one trial; 2 and one line where it is refused."""
    section, params = arguments
    stage = Stage("trial", section)
    stage.tree = read_yaml(Path(params))
    try:
        train_once(stage, Path(params).parent / "checkpoints")
    except UserError as error:
        sys.stderr.write(f"{stage.title}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
