"""Prepare the slimmed network for one precision: `python -m stages.quantize int8`."""

from __future__ import annotations

from pathlib import Path

from edgepress.bundles import bundle
from edgepress.data.images import ImageSet
from edgepress.methods import Method
from edgepress.quantization.quantize_job import Quantization, QuantizeJob
from edgepress.records.bundle import Bundle
from edgepress.records.quantized import BUNDLE, CALIBRATION, REFERENCE, Quantized
from edgepress.records.record import sha256_folder
from edgepress.records.reference import Reference
from edgepress.records.selection import Selection
from edgepress.tasks.task import Task
from stages.decoded import Wanted, shared
from stages.places import MANIFEST, QUANTIZED, SELECTION, SLIM
from stages.progress import lines
from stages.reference import refer
from stages.stage import Stage, main

USES = {
    "task": "tasks:labels tasks:answers tasks:training tasks:parts",
    "distill.backbone": "backbones",
    "distill.head": "heads",
    "quantize.{key}": "quantization",
}
PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read the slimmed network and the kept training images, write one precision of it."""
    method = stage.method("quantization", f"quantize.{stage.key}")
    record, network = bundle.load(SLIM)
    task = Task.open(record.task, record.classes, str(SLIM))
    kept = Selection.read(SELECTION).kept_ids(SELECTION)
    images = ImageSet.open(MANIFEST, "train", kept)
    test = ImageSet.open(MANIFEST, "test")
    with stage.output(QUANTIZED / str(stage.key)) as folder, lines(stage.title) as progress:
        progress(f"preparing by {method.name}", 0, 0)
        result: Quantization = method(QuantizeJob(network, record, images, stage.seed))
        draft = _draft(stage, record, task, result)
        saved = bundle.save(folder / BUNDLE, result.network, draft)
        if result.calibration is not None:
            result.calibration.write(folder / CALIBRATION)
        test = shared(stage, Wanted("test", test, task), record.input, progress)
        held = refer(result.network, test, task, record.input, progress)
        Reference.create(folder / REFERENCE, held)
        _describe(stage, method, result, folder).write(folder)
    scores = task.answers.score(held.answers, None, held.truth, 0.95)
    stage.metrics(
        parameters=saved.parameters,
        macs=saved.macs,
        calibration_images=0 if result.calibration is None else len(result.calibration.images),
        test_images=len(test),
        scores={score.name: round(score.value.value, 6) for score in scores if score.of is None},
    )


def _draft(stage: Stage, record: Bundle, task: Task, result: Quantization) -> bundle.Draft:
    return bundle.Draft(
        task=task,
        backbone=record.backbone,
        head=record.head,
        input=record.input,
        surgery=(*record.surgery, *result.surgery),
        lineage={"stage": stage.title, "seed": str(stage.seed), "slim": sha256_folder(SLIM)},
    )


def _describe(stage: Stage, method: Method, result: Quantization, folder: Path) -> Quantized:
    calibrated = result.calibration is not None
    return Quantized(
        precision=str(stage.key),
        method=method.name,
        recipe=result.recipe,
        bundle_sha256=sha256_folder(folder / BUNDLE),
        calibration_sha256=sha256_folder(folder / CALIBRATION) if calibrated else None,
        reference_sha256=sha256_folder(folder / REFERENCE),
    )


if __name__ == "__main__":
    main("quantize", work, keyed=True)
