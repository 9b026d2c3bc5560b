"""What the registry is told: a log per stage execution and a release per measured target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.errors import UserError
from edgepress.params import leaves
from edgepress.recipes import written_out
from edgepress.records.exported import Exported
from edgepress.records.measurement import Interval, Measurement
from edgepress.records.record import sha256_file, sha256_folder
from edgepress.records.verdict import Outcome, Verdicts
from edgepress.report.cards import card
from edgepress.report.run import Run, TargetRun
from edgepress.validation.promotion import Standing
from stages.gather import CHAIN, read_metrics
from stages.lineage import Lock
from stages.places import EXPORTED, MEASURED

Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class StageLog:
    """One stage execution; `digest` is the same only for the very same execution."""

    title: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Name -> (epoch, value) pairs."""

    @property
    def digest(self) -> str:
        """Hash of everything the log holds, the seconds it took included."""
        held = [self.title, dict(self.params), dict(self.metrics)]
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Release:
    """One target's files with what was measured on them and what the gates said."""

    key: str
    folder: Path
    """The export: its files and exported.json."""
    exported: Exported
    documents: Mapping[str, str]
    """File name -> text of what is stored beside the export."""
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    content: str
    """Hash of export and measurement: the identity of a version."""
    outcome: Outcome
    reasons: str
    """Why it did not pass, empty if it did."""
    standing: Standing | None
    """Its gated score, to be compared with the champion's."""


def stage_logs(run: Run, lock: Lock) -> list[StageLog]:
    """Return a log of every execution that left metrics."""
    made_by = {folder.name: stage for folder, stage in CHAIN.items()}
    histories = {made_by[model.name]: model.history for model in run.models}
    logs = []
    for stage in run.stages:
        found = read_metrics(stage.title.replace("@", "-")) if stage.seconds is not None else {}
        if found:
            logs.append(
                StageLog(
                    title=stage.title,
                    params={name: _text(value) for name, value in _params(lock, stage.title)},
                    metrics=dict(_numbers(found)),
                    curves=_curves(histories.get(stage.name, ())),
                )
            )
    return logs


def whole_log(title: str, run: Run, tree: Mapping[str, Any]) -> StageLog:
    """Return the log of a whole run: all parameters, and the scores that two are compared by."""
    metrics = {
        f"{model.name}.{name}": value
        for model in run.models
        for name, value in model.scores.items()
    }
    for target in run.targets:
        metrics |= {f"{target.key}.{name}": value for name, value in _main(target)}
    for outcome in ("pass", "fail", "not-run"):
        metrics[f"targets.{outcome}"] = float(run.count(outcome))
    params = {name: _text(value) for name, value in leaves("", written_out(tree))}
    return StageLog(title, params, metrics)


def _main(target: TargetRun) -> Iterator[tuple[str, float]]:
    if target.score is not None:
        yield target.score.name, target.score.value.value
    if target.measurement is not None:
        yield "size_mb", target.measurement.size_bytes / 1e6
        if target.measurement.latency is not None:
            yield "p50_ms", target.measurement.latency.p50_ms.value


def releases(run: Run, lock: Lock) -> list[Release]:
    """Return a release for every target that was exported, measured and judged."""
    found = []
    for target in run.targets:
        if target.exported and target.measurement and target.verdicts:
            records = (target.exported, target.measurement, target.verdicts)
            found.append(_release(run, target, records, lock))
    return found


def _release(
    run: Run, target: TargetRun, records: tuple[Exported, Measurement, Verdicts], lock: Lock
) -> Release:
    exported, measurement, verdicts = records
    folder = EXPORTED / target.key
    exported_sha256 = sha256_folder(folder)
    measurement_sha256 = sha256_file(MEASURED / target.key / Measurement.file_name)
    _refuse_other(target.key, measurement.exported_sha256, exported_sha256, "export", "validate")
    _refuse_other(
        target.key, verdicts.measurement_sha256, measurement_sha256, "measurement", "judge"
    )
    refused = [
        f"{verdict.gate}: {verdict.outcome}: {verdict.reason}"
        for verdict in verdicts.verdicts
        if verdict.outcome != "pass"
    ]
    return Release(
        key=target.key,
        folder=folder,
        exported=exported,
        documents={
            Measurement.file_name: measurement.model_dump_json(indent=2),
            Verdicts.file_name: verdicts.model_dump_json(indent=2),
            "card.md": card(run, target),
        },
        metrics=dict(_measured(measurement)),
        params={**target.target.model_dump(), "format": exported.format},
        tags={
            "exported.sha256": exported_sha256,
            "measurement.sha256": measurement_sha256,
            **_lineage(run, exported, measurement),
            **{f"dvc.{path}": md5 for path, md5 in lock.ancestry(f"validate@{target.key}").items()},
        },
        content=hashlib.sha256(f"{exported_sha256} {measurement_sha256}".encode()).hexdigest(),
        outcome=verdicts.outcome,
        reasons="; ".join(refused),
        standing=_standing(measurement),
    )


def _refuse_other(key: str, named: str, found: str, what: str, stage: str) -> None:
    """Refuse to release what is not the thing that was measured, or judged."""
    if named != found:
        raise UserError(
            f"{key}: the {what} has sha256 {found[:12]}, the stage {stage} saw {named[:12]}: it "
            f"changed since; run {stage} again"
        )


def _standing(measurement: Measurement) -> Standing | None:
    score = measurement.score
    if score is None:
        return None
    return Standing(score.name, score.value, score.better == "higher")


def _lineage(run: Run, exported: Exported, measurement: Measurement) -> dict[str, str]:
    return {
        "git.commit": run.provenance.commit or "none",
        "git.dirty": str(run.provenance.dirty).lower(),
        "params.sha256": run.provenance.params_sha256,
        "bundle.sha256": exported.bundle_sha256,
        "calibration.sha256": exported.calibration_sha256 or "none",
        "machine": measurement.conditions.machine,
        "emulated": str(measurement.conditions.emulated).lower(),
    }


def _measured(found: Measurement) -> Iterator[tuple[str, float]]:
    yield "size_bytes", float(found.size_bytes)
    for score in found.scores:
        name = score.name if score.of is None else f"{score.name}.{score.of}"
        yield from _interval(f"score.{name}", score.value)
        if score.drop is not None:
            yield from _interval(f"drop.{name}", score.drop)
    if found.parity is not None:
        yield "parity.agreement", found.parity.agreement
        yield "parity.changed", float(found.parity.changed)
        for output in found.parity.outputs:
            yield f"parity.{output.name}.error", output.error
            yield f"parity.{output.name}.cosine", output.cosine
    if found.latency is not None:
        yield from _interval("latency_ms.p50", found.latency.p50_ms)
        yield from _interval("latency_ms.p90", found.latency.p90_ms)
        if found.latency.p99_ms is not None:
            yield from _interval("latency_ms.p99", found.latency.p99_ms)
        if found.latency.speedup is not None:
            yield from _interval("speedup", found.latency.speedup)
    if found.peak_memory_mb is not None:
        yield "peak_memory_mb", found.peak_memory_mb
    if found.energy.millijoules is not None:
        yield f"energy_mj.{found.energy.status}", found.energy.millijoules


def _interval(name: str, interval: Interval) -> Iterator[tuple[str, float]]:
    yield name, interval.value
    yield f"{name}.low", interval.low
    yield f"{name}.high", interval.high


def _params(lock: Lock, title: str) -> Iterator[tuple[str, Any]]:
    for name, value in lock.params(title).items():
        yield from leaves(name, written_out(value))


def _numbers(tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        for path, leaf in leaves(name, value):
            if isinstance(leaf, int | float) and not isinstance(leaf, bool):
                yield path, float(leaf)


def _curves(history: tuple[Mapping[str, float], ...]) -> dict[str, Curve]:
    found: dict[str, list[tuple[int, float]]] = {}
    for epoch in history:
        for name, value in epoch.items():
            if name not in ("epoch", "kept"):
                found.setdefault(f"curve.{name}", []).append((int(epoch["epoch"]), float(value)))
    return {name: tuple(points) for name, points in found.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
