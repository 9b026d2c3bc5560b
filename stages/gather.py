"""What a finished run left behind, read back as one Run for the report and the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.bundle import WEIGHTS, Bundle
from edgepress.records.exported import Exported
from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Measurement
from edgepress.records.selection import Selection
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts
from edgepress.report.examples import curation
from edgepress.report.run import Curation, Data, Epoch, Model, Run, StageRun, TargetRun
from stages import lineage
from stages.stage import Stage

MANIFEST = Path("data/manifest")
SELECTION = Path("data/selection")
METRICS = Path("metrics")
CHAIN = {"teacher": "train", "student": "distill", "slim": "slim"}
"""Folder of data/ that holds a model -> the stage that writes it."""
_LINE = ("ingest", "check", "embed", "curate", "train", "distill", "slim")
_HISTORY = TypeAdapter(tuple[Epoch, ...])


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
    missing = sorted(set(CHAIN) - {model.name for model in models})
    absent += [f"Model {name}: the {CHAIN[name]} stage has not run" for name in missing]
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
    splits = {str(split): sum(counts.values()) for split, counts in manifest.counts.items()}
    return Data(manifest.classes, splits, manifest.quarantined)


def read_curation() -> Curation | None:
    """Read the selection with the classes of its images."""
    if not (SELECTION / Selection.file_name).exists():
        return None
    selection = Selection.read(SELECTION)
    images = ImageSet.open(MANIFEST, "train")
    names = (images.classes[label] for label in images.labels)
    labels = dict(zip(images.ids, names, strict=True))
    return curation(selection, selection.table(SELECTION), labels)


def read_models() -> tuple[Model, ...]:
    """Read the Bundles of the chain that are there, with their histories and metrics."""
    found = []
    for name, made_by in CHAIN.items():
        folder = Path("data") / name
        if not (folder / Bundle.file_name).exists():
            continue
        weights = folder / WEIGHTS
        found.append(
            Model(
                name=name,
                bundle=Bundle.read(folder),
                history=_history(folder / "history.json"),
                accuracy=read_metrics(made_by).get("test_accuracy"),
                size_bytes=weights.stat().st_size if weights.exists() else None,
            )
        )
    return tuple(found)


def read_targets(stage: Stage) -> tuple[TargetRun, ...]:
    """Read what there is of the targets that params.yaml names, in its order; no others."""
    section: dict[str, Any] = stage.raw("targets")
    return tuple(_target(key, entry) for key, entry in section.items())


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
    report = StageRun("report", after=tuple(f"validate@{target.key}" for target in targets))
    return (*runs, report, StageRun("register", after=("report",)))


def _stage_run(name: str, key: str | None, after: tuple[str, ...]) -> StageRun:
    cost = read_metrics(name if key is None else f"{name}-{key}").get("cost", {})
    return StageRun(name, key, cost.get("seconds"), cost.get("peak_memory_mb"), after)


def _target(key: str, entry: Any) -> TargetRun:
    exported, measured = Path("data/exported") / key, Path("data/measured") / key
    return TargetRun(
        target=Target.parse(key),
        exported=Exported.read(exported) if (exported / Exported.file_name).exists() else None,
        measurement=(
            Measurement.read(measured) if (measured / Measurement.file_name).exists() else None
        ),
        verdicts=Verdicts.read(measured) if (measured / Verdicts.file_name).exists() else None,
        baseline=entry.get("baseline") if isinstance(entry, dict) else None,
    )


def _history(path: Path) -> tuple[Epoch, ...]:
    if not path.exists():
        return ()
    try:
        return _HISTORY.validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {error.errors()[0]['msg']}; run its stage again") from None
