"""What a finished run left behind, read back as one Run for the report and the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.bundle import WEIGHTS, Bundle
from edgepress.records.diagnosis import Diagnosed
from edgepress.records.exported import Exported
from edgepress.records.history import History
from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Measurement
from edgepress.records.not_exported import NotExported
from edgepress.records.record import Record
from edgepress.records.selection import Selection
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts
from edgepress.report.examples import curation
from edgepress.report.run import Curation, Data, Model, Run, StageRun, TargetRun
from stages import lineage
from stages.places import (
    EXPORTED,
    JUDGED,
    MANIFEST,
    MEASURED,
    METRICS,
    SELECTION,
    SLIM,
    STUDENT,
    TEACHER,
)
from stages.stage import Stage
from stages.targets import keys

R = TypeVar("R", bound=Record)

CHAIN = {TEACHER: "train", STUDENT: "distill", SLIM: "slim"}
"""Folder that holds a model -> the stage that writes it."""
_LINE = ("ingest", "check", "embed", "curate", "train", "distill", "slim")


def gather(stage: Stage) -> Run:
    """Read every record that is there; what is not is named in `absent`."""
    data, kept = read_data(), read_curation()
    models, targets = read_models(), read_targets(stage)
    absent = [
        f"{what}: {why}"
        for what, there, why in (
            ("Data", data, "the ingest stage has not run"),
            ("Kept and pruned images", kept, "the curate stage has not run"),
        )
        if there is None
    ]
    there = {model.name for model in models}
    absent += [
        f"Model {folder.name}: the {stage} stage has not run"
        for folder, stage in sorted(CHAIN.items())
        if folder.name not in there
    ]
    unmeasured = [target.key for target in targets if target.measurement is None]
    if unmeasured:
        absent.append(f"Measurements: validate has not run for {', '.join(unmeasured)}")
    return Run(
        provenance=lineage.provenance(stage),
        stages=stage_runs(targets),
        data=data,
        curation=kept,
        models=models,
        targets=targets,
        absent=tuple(absent),
    )


def read_data() -> Data | None:
    """Count the manifest's images."""
    if not (MANIFEST / Manifest.file_name).exists():
        return None
    manifest = Manifest.read(MANIFEST)
    splits = {str(split): count for split, count in manifest.items.items()}
    task = str(manifest.task.get("method"))
    return Data(task, manifest.classes, splits, manifest.quarantined)


def read_curation() -> Curation | None:
    """Read the selection with the classes of its images."""
    if not (SELECTION / Selection.file_name).exists():
        return None
    selection = Selection.read(SELECTION)
    images = ImageSet.open(MANIFEST, "train")
    names = (images.classes[index] if index >= 0 else "none" for index in images.strata)
    labels = dict(zip(images.ids, names, strict=True))
    return curation(selection, selection.table(SELECTION), labels)


def read_models() -> tuple[Model, ...]:
    """Read the Bundles of the chain that are there, with their histories and metrics."""
    found = []
    for folder, made_by in CHAIN.items():
        if not (folder / Bundle.file_name).exists():
            continue
        weights = folder / WEIGHTS
        found.append(
            Model(
                name=folder.name,
                bundle=Bundle.read(folder),
                history=_history(folder),
                scores=read_metrics(made_by).get("scores", {}).get("test", {}),
                size_bytes=weights.stat().st_size if weights.exists() else None,
            )
        )
    return tuple(found)


def read_targets(stage: Stage) -> tuple[TargetRun, ...]:
    """Read what there is of the targets that params.yaml names, in its order; no others."""
    baseline = str(stage.raw("baseline"))
    return tuple(_target(key, baseline) for key in keys(stage.tree))


def read_metrics(name: str) -> dict[str, Any]:
    """Read metrics/<name>.json; empty where the stage left none."""
    path = METRICS / f"{name}.json"
    if not path.exists():
        return {}
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}; run its stage again") from None
    return loaded if isinstance(loaded, dict) else {}


def stage_runs(targets: tuple[TargetRun, ...]) -> tuple[StageRun, ...]:
    """List the executions of the graph with their cost; the report and what follows have none."""
    before = ("", *_LINE[:-1])
    runs = [
        _stage_run(name, None, (after,) if after else ())
        for name, after in zip(_LINE, before, strict=True)
    ]
    precisions = dict.fromkeys(target.target.precision for target in targets)
    runs += [_stage_run("quantize", precision, ("slim",)) for precision in precisions]
    runs += [
        _stage_run("export", target.key, (f"quantize@{target.target.precision}",))
        for target in targets
    ]
    runs += [_stage_run("validate", target.key, (f"export@{target.key}",)) for target in targets]
    runs.append(_stage_run("judge", None, tuple(f"validate@{t.key}" for t in targets)))
    return (*runs, StageRun("report", after=("judge",)), StageRun("register", after=("report",)))


def _stage_run(name: str, key: str | None, after: tuple[str, ...]) -> StageRun:
    cost = read_metrics(name if key is None else f"{name}-{key}").get("cost", {})
    return StageRun(name, key, cost.get("seconds"), cost.get("peak_memory_mb"), after)


def _target(key: str, baseline: str) -> TargetRun:
    exported, measured, judged = (folder / key for folder in (EXPORTED, MEASURED, JUDGED))
    target = Target.parse(key)
    return TargetRun(
        target=target,
        exported=_read(Exported, exported),
        not_exported=_read(NotExported, exported),
        measurement=_read(Measurement, measured),
        verdicts=_read(Verdicts, judged),
        diagnosed=_read(Diagnosed, measured),
        folder=exported,
        baseline=str(target.model_copy(update={"precision": baseline})),
    )


def _read(record: type[R], folder: Path) -> R | None:
    return record.read(folder) if (folder / record.file_name).exists() else None


def _history(folder: Path) -> tuple[dict[str, float], ...]:
    found = _read(History, folder)
    return () if found is None else found.epochs
