"""Measure one target's export on this machine: `python -m stages.validate x86_64-onnxruntime-int8`.

What this machine cannot show is written down with its reason; the gates judge it in `judge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgepress.data.images import ImageSet
from edgepress.devices import energy, host
from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.changed import Changed
from edgepress.records.exported import Exported
from edgepress.records.measurement import Measurement
from edgepress.records.not_exported import NotExported
from edgepress.records.predictions import Predictions
from edgepress.records.quantized import REFERENCE, Quantized
from edgepress.records.record import sha256_folder
from edgepress.records.reference import Reference
from edgepress.records.target import Target
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.validation.diagnosis import Told, tell
from edgepress.validation.latency import Plan
from edgepress.validation.measure import Truth, measure
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing
from stages.decoded import Wanted, shared
from stages.places import EXPORTED, MANIFEST, MEASURED, QUANTIZED
from stages.prepared import prepared
from stages.progress import lines
from stages.stage import Stage, main

USES = {"task": "tasks:labels tasks:answers tasks:diagnosis tasks:order tasks:parts"}
PROCESSOR = "machine"
MODULES = ("edgepress.runtimes.{runtime}", "edgepress.validation.probe")


def work(stage: Stage) -> None:
    """Read one export and its baseline, write what was measured."""
    target = Target.parse(str(stage.key))
    baseline = target.model_copy(update={"precision": str(stage.raw("baseline"))})
    folder = EXPORTED / str(target)
    answered: _Answered | None = None
    if (folder / NotExported.file_name).exists():
        found = _absent(target, NotExported.read(folder), folder)
    else:
        found, answered = _measure(stage, Subject.read(folder), baseline)
    with stage.output(MEASURED / str(target)) as out:
        found.write(out)
        if answered is not None:
            answered.told.diagnosed.write(out)
            Changed.create(out, answered.told.changed)
            Predictions.create(out, answered.ids, answered.answers)
    stage.metrics(**_numbers(found))


@dataclass(frozen=True)
class _Answered:
    """An export's answers to the test items, and what they tell."""

    ids: tuple[str, ...]
    answers: Arrays
    told: Told


def _measure(
    stage: Stage, subject: Subject, baseline: Target
) -> tuple[Measurement, _Answered | None]:
    """Measure an export; None where it gave no answers that could tell more."""
    target = subject.exported.target
    rival = None
    if baseline != target and (EXPORTED / str(baseline) / Exported.file_name).exists():
        rival = Subject.read(EXPORTED / str(baseline))
    with lines(stage.title) as progress:
        plan = Plan(stage.section(Timing, "validate"), stage.seed, progress)
        truth = _truth(stage, subject, progress)
        answered: list[Arrays] = []
        found = measure(subject, rival, truth, plan, answered.append)
        if not answered:
            return found, None
        progress("telling what is right and wrong", 0, 0)
        (ours,), reference = answered, truth.reference
        return found, _Answered(reference.ids, ours, tell(truth.task, ours, reference))


def _absent(target: Target, record: NotExported, folder: Path) -> Measurement:
    return Measurement(
        target=target,
        exported_sha256=sha256_folder(folder),
        size_bytes=0,
        parity=None,
        scores=(),
        latency=None,
        peak_memory_mb=None,
        energy=energy.unavailable("there is no export"),
        conditions=host.conditions((), None),
        not_run={"export": f"not exported: {record.reason}"},
    )


def _truth(stage: Stage, subject: Subject, progress: Progress) -> Truth:
    """Return the float Bundle's answers and the test images they belong to, in the same order."""
    exported = subject.exported
    folder = QUANTIZED / exported.target.precision
    quantized = Quantized.read(folder)
    if sha256_folder(folder / REFERENCE) != quantized.reference_sha256:
        again = f"changed since quantize@{exported.target.precision}; run it again"
        raise UserError(f"{folder / REFERENCE}: {again}")
    reference = Reference.open(folder / REFERENCE, quantized.bundle_sha256)
    images = ImageSet.open(MANIFEST, "test")
    if list(reference.ids) != images.ids:
        pairs = zip(reference.ids, images.ids, strict=False)
        first = next((pair for pair in pairs if pair[0] != pair[1]), ("the end", "the end"))
        raise UserError(
            f"{folder / REFERENCE}: its {len(reference.ids)} images are not the {len(images)} of "
            f"the test split of {MANIFEST} (first at {first[0]} against {first[1]}); run quantize "
            "again"
        )
    task = Task.open(exported.task, exported.classes, str(subject.folder))
    images = shared(stage, Wanted("test", images, task), exported.input, progress)
    return Truth(reference, prepared(images, task, exported.input), task, exported.input)


def _numbers(found: Measurement) -> dict[str, Any]:
    """Return the numbers worth comparing between runs; what was not measured is left out."""
    latency, score, parity = found.latency, found.score, found.parity
    numbers: dict[str, Any] = {
        "size_mb": found.size_bytes / 1e6,
        "peak_memory_mb": found.peak_memory_mb,
        "error": parity and parity.error,
        "agreement": parity and parity.agreement,
        "score": score and score.value.value,
        "drop": score and score.drop and score.drop.value,
        "drop_high": score and score.drop and score.drop.high,
        "p50_ms": latency and latency.p50_ms.value,
        "p90_ms": latency and latency.p90_ms.value,
        "p99_ms": latency and latency.p99_ms and latency.p99_ms.value,
        "speedup": latency and latency.speedup and latency.speedup.value,
        "speedup_low": latency and latency.speedup and latency.speedup.low,
        "millijoules": found.energy.millijoules,
    }
    return {name: round(value, 6) for name, value in numbers.items() if value is not None}


if __name__ == "__main__":
    main("validate", work, keyed=True)
