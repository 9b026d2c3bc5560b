"""Write one target's model in its own format: `python -m stages.export x86_64-onnxruntime-int8`.

A network that the target's toolchain cannot write is a result, not an error: it is recorded, and
the other targets go on.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgepress.bundles import bundle
from edgepress.errors import UserError
from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob, NotExportedError, converting
from edgepress.export.trial import run_once
from edgepress.methods import Method, exporter_of, resolve
from edgepress.records.exported import Exported
from edgepress.records.not_exported import NotExported
from edgepress.records.quantized import BUNDLE, CALIBRATION, Quantized
from edgepress.records.record import sha256_folder
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from stages.places import EXPORTED, PARAMS, QUANTIZED
from stages.progress import lines
from stages.stage import Stage, main

USES = {
    "task": "tasks:labels tasks:answers tasks:training tasks:graph",
    "distill.backbone": "backbones",
    "distill.head": "heads",
}
SETTINGS = ("export.{exporter}",)
MODULES = ("edgepress.export.{exporter}", "edgepress.runtimes.{runtime}")

PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Read one precision of the network, write it for one target."""
    target = Target.parse(str(stage.key))
    exporter = _exporter(stage, target)
    job_in = _read(target)
    with stage.output(EXPORTED / str(target)) as out, lines(stage.title) as progress:
        out.mkdir()
        job = job_in(out)
        try:
            with converting(exporter.name):
                progress(f"writing by {exporter.name}", 0, 0)
                exported: Exported = exporter(job)
                progress("loading it and answering one item", 0, 0)
                run_once(out, exported)
        except NotExportedError as error:
            _record(job, str(error))
            sys.stderr.write(f"{stage.title}: not exported: {error}\n")
            stage.metrics(exported=0)
            return
    stage.metrics(exported=1, size_bytes=exported.size_bytes, files=len(exported.files))


def _record(job: ExportJob, reason: str) -> None:
    """Leave nothing of a half-written export but the reason."""
    shutil.rmtree(job.out)
    job.out.mkdir()
    record = NotExported(
        target=job.target, reason=reason, bundle_sha256=job.quantized.bundle_sha256
    )
    record.write(job.out)


def _read(target: Target) -> Callable[[Path], ExportJob]:
    """Read what an export is made from; folders that changed since quantize are UserErrors."""
    source = QUANTIZED / target.precision
    quantized = Quantized.read(source)
    for name, expected in (
        (BUNDLE, quantized.bundle_sha256),
        (CALIBRATION, quantized.calibration_sha256),
    ):
        if expected is not None and sha256_folder(source / name) != expected:
            raise UserError(
                f"{source / name}: changed since quantize@{target.precision}; run it again"
            )
    record, network = bundle.load(source / BUNDLE)
    task = Task.open(record.task, record.classes, str(source))
    calibrated = quantized.calibration_sha256 is not None
    images = CalibrationImages.open(source / CALIBRATION) if calibrated else None
    outputs = task.answers.outputs(record.input)
    model = task.learner.deployed(network).eval()
    ending = task.ending(record.input)
    return partial(ExportJob, target, quantized, model, record, outputs, images, ending=ending)


def _exporter(stage: Stage, target: Target) -> Method:
    """Resolve the target's exporter with its options; the method's name is the section's key."""
    name = exporter_of(target.runtime, f"{PARAMS}: places: {target}")
    section = stage.raw(f"export.{name}")
    if not isinstance(section, dict):
        raise UserError(f"{PARAMS}: export.{name}: expected a mapping, got {section!r}")
    options = {**section, "method": name}
    return resolve("export", options, str(PARAMS), f"export.{name}")


if __name__ == "__main__":
    main("export", work, keyed=True)
