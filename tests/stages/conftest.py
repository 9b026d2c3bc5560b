"""A finished run on disk: real digits, and targets that pass, fail and cannot run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from edgepress import methods
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.records.bundle import Bundle
from edgepress.records.exported import Exported, ExportedFile, Part, Port
from edgepress.records.history import History
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import (
    Conditions,
    Energy,
    Interval,
    Latency,
    Measurement,
    OutputParity,
    Parity,
    Score,
)
from edgepress.records.record import sha256_file, sha256_folder
from edgepress.records.selection import Concept, Selection, schema
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from edgepress.records.verdict import Outcome, Verdict, Verdicts
from stages import progress
from tests.classified import classified

INPUT = {"height": 16, "width": 16, "channels": 1, "mean": [0.3], "std": [0.35]}
SPEC = InputSpec.model_validate(INPUT)
TARGETS: dict[str, Outcome] = {
    "x86_64-onnxruntime-fp32": "pass",
    "x86_64-onnxruntime-int8": "fail",
    "jetson-tensorrt-fp32": "not-run",
    "jetson-tensorrt-int8": "not-run",
}
IMAGE = Port(tensor=SPEC.tensors[0], stored="image", layout="NCHW")
LOGITS = Port(
    tensor=TensorSpec(name="logits", shape=(1, 2), layout="NC"), stored="logits", layout="NC"
)
PARITY = Parity(
    outputs=(OutputParity(name="logits", error=0.01, cosine=0.999, max_abs=0.1),),
    sample=60,
    agreement=1.0,
    changed=0,
    items=60,
)
PARAMS = {
    "project": "digits",
    "seed": 0,
    "input": {**INPUT, "resize": "bilinear"},
    "task": {"method": "classification"},
    "places": ["x86_64-onnxruntime", "jetson-tensorrt"],
    "precisions": ["fp32", "int8"],
    "baseline": "fp32",
    "gates": {
        "max_drop": 0.02,
        "min_score": {},
        "min_class_score": 0.0,
        "max_error": {"fp32": 0.1, "int8": 0.1},
        "min_agreement": {"fp32": 0.9, "int8": 0.9},
        "min_speedup": 1.0,
    },
    "register": {"tracking_uri": "sqlite:///mlflow.db"},
}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stages say nothing of their progress, however busy the machine is: tests count lines."""
    monkeypatch.setattr(progress, "EVERY_S", 3600.0)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the run once; tests take copies."""
    root = tmp_path_factory.mktemp("finished")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    write_data(root)
    for name, stage in {"teacher": "train", "student": "distill", "slim": "slim"}.items():
        write_model(root, name, stage)
    for key, outcome in TARGETS.items():
        write_target(root, key, outcome)
    for name in ("ingest", "check", "embed", "curate", "quantize-fp32", "quantize-int8"):
        write_metrics(root, name, {})
    write_lock(root)
    return root


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a finished run, ready to report and register."""
    root = tmp_path / "run"
    shutil.copytree(finished_once, root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return root


@pytest.fixture
def remeasure() -> Callable[..., None]:
    """What writes another measurement of a target: (root, key, outcome, p50)."""
    return write_measurement


@pytest.fixture
def reexport() -> Callable[..., None]:
    """What writes another export of a target: (root, key, outcome, weights)."""
    return write_target


def write_data(root: Path) -> None:
    source = methods.resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=60)
    folder = root / "data/manifest"
    classified(source(folder), folder, rules)
    images = ImageSet.open(folder, "train")
    half = len(images) // 2
    kept = [row % 3 > 0 for row in range(len(images))]
    concept = [int(row >= half) for row in range(len(images))]
    rows = [
        {
            "id": name,
            "concept": concept[row],
            "distance": 0.01 * row,
            "kept": kept[row],
            "reason": "chosen" if kept[row] else "over-quota",
        }
        for row, name in enumerate(images.ids)
    ]
    concepts = tuple(
        Concept(
            index=index,
            size=concept.count(index),
            duplicates=0,
            quota=sum(k for k, c in zip(kept, concept, strict=True) if c == index),
            kept=sum(k for k, c in zip(kept, concept, strict=True) if c == index),
            d_intra=0.3,
            d_inter=0.4 + index,
            complexity=0.3 * (0.4 + index),
            probability=0.5,
        )
        for index in range(2)
    )
    facts = {
        "method": "concept_complexity",
        "params": {"keep": 0.66},
        "seed": 0,
        "rows": len(rows),
        "budget": sum(kept),
        "temperature": 0.5,
        "order": "hard",
        "concepts": concepts,
    }
    batch = pa.RecordBatch.from_pylist(rows, schema(pa.string()))
    Selection.save(root / "data/selection", [batch], facts)


def write_model(root: Path, name: str, stage: str) -> None:
    folder = root / "models" / name
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(bytes(4000))
    Bundle(
        task={"method": "classification"},
        backbone={"method": "resnet_cifar", "depth": 8},
        head={"method": "linear"},
        classes=("0", "1"),
        input=SPEC,
        parameters=1000,
        macs=50_000,
        lineage={"stage": stage},
        weights_sha256="0" * 64,
    ).write(folder)
    history = [
        {"epoch": epoch, "loss": 1 / epoch, "train_accuracy": 0.9, "val_accuracy": 1 - 0.3 / epoch}
        for epoch in (1, 2, 3)
    ]
    History(epochs=tuple(history)).write(folder)
    write_metrics(root, stage, {"scores": {"test": {"accuracy": 0.97}}, "parameters": 1000})


def write_target(root: Path, key: str, outcome: Outcome, weights: bytes = b"weights") -> None:
    target, exported = Target.parse(key), root / "targets/exported" / key
    exported.mkdir(parents=True, exist_ok=True)
    path = exported / "model.onnx"
    path.write_bytes(weights + key.encode())
    size = path.stat().st_size
    Exported(
        target=target,
        format="onnx",
        parts=(Part(name="model", entry="model.onnx", inputs=(IMAGE,), outputs=(LOGITS,)),),
        files=(ExportedFile(path="model.onnx", sha256=sha256_file(path), bytes=size),),
        input=SPEC,
        task={"method": "classification"},
        classes=("0", "1"),
        tools={"onnx": "1.23.2"},
        bundle_sha256="b" * 64,
        calibration_sha256="c" * 64 if target.precision == "int8" else None,
    ).write(exported)
    write_measurement(root, key, outcome, p50=0.4)


def write_measurement(
    root: Path, key: str, outcome: Outcome, p50: float, score: float = 0.96
) -> None:
    target, measured = Target.parse(key), root / "targets/measured" / key
    ran = outcome != "not-run"
    reason = "TensorRT builds its engine on the device; run validate there"
    speedup = None if target.precision == "fp32" else around(0.8)
    accuracy = Score(
        name="accuracy", value=around(score), drop=around(0.004), constant=0.2, items=60
    )
    Measurement(
        target=target,
        exported_sha256=sha256_folder(root / "targets/exported" / key),
        size_bytes=4000,
        parity=PARITY if ran else None,
        scores=(accuracy,) if ran else (),
        latency=(
            Latency(
                p50_ms=around(p50),
                p90_ms=around(p50 * 1.2),
                p99_ms=around(p50 * 2),
                runs=100,
                warmup_runs=5,
                threads=1,
                speedup=speedup,
            )
            if ran
            else None
        ),
        peak_memory_mb=80.0 if ran else None,
        energy=Energy(status="unavailable", millijoules=None, reason="no counter"),
        conditions=Conditions(
            machine="a test machine",
            cores=2,
            isa_flags=("avx2",),
            emulated=False,
            load_average=0.5,
            cpu_mhz=None,
            temperature_c=None,
            throttled=None,
            tools={"onnxruntime": "1.31.1"},
        ),
        not_run={} if ran else dict.fromkeys(("parity", "scores", "latency", "memory"), reason),
    ).write(measured)
    why = {"pass": "holds", "fail": "0.80 times FP32: ship FP32", "not-run": reason}[outcome]
    value = None if outcome == "not-run" else 0.8
    size = Verdict(
        gate="size", outcome="pass", value=0.004, bound=5.0, unit="MB", reason="small enough"
    )
    speed = Verdict(gate="speedup", outcome=outcome, value=value, bound=1.0, unit="x", reason=why)
    digest = sha256_file(measured / Measurement.file_name)
    judged = Verdicts(target=target, measurement_sha256=digest, verdicts=(size, speed))
    judged.write(root / "targets/judged" / key)
    write_metrics(root, f"export-{key}", {"bytes": 4000})
    write_metrics(root, f"validate-{key}", {"p50_ms": p50})


def around(value: float) -> Interval:
    return Interval(value=value, low=value * 0.9, high=value * 1.1)


def write_metrics(root: Path, name: str, values: dict[str, Any]) -> None:
    folder = root / "metrics"
    folder.mkdir(exist_ok=True)
    cost = {"seconds": 1.5, "peak_memory_mb": 200}
    (folder / f"{name}.json").write_text(json.dumps({**values, "cost": cost}))


def write_lock(root: Path) -> None:
    """A dvc.lock as DVC writes it, for one line of stages."""
    made = {"ingest": "data/manifest", "curate": "data/selection", "train": "models/teacher"}
    stages: dict[str, Any] = {}
    before: list[dict[str, str]] = []
    for name, path in made.items():
        digest = hashlib.md5(name.encode()).hexdigest() + ".dir"
        out = {"path": path, "hash": "md5", "md5": digest}
        stages[name] = {"cmd": f"python -m stages.{name}", "deps": list(before), "outs": [out]}
        before = [out]
    stages["train"]["params"] = {"params.yaml": {"seed": 0, "train": {"recipe": {"epochs": 12}}}}
    for key in TARGETS:
        exported = {"path": f"targets/exported/{key}", "md5": "e" * 32}
        stages[f"export@{key}"] = {"deps": list(before), "outs": [exported]}
        measured = {"path": f"targets/measured/{key}", "md5": "f" * 32}
        stages[f"validate@{key}"] = {"deps": [exported], "outs": [measured]}
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
