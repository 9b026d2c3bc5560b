"""A run in memory: ten concepts of real digits, targets that pass, fail or cannot run."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from edgepress.records.bundle import Bundle
from edgepress.records.diagnosis import Chart, Curve, Diagnosed, Diagnosis
from edgepress.records.exported import Exported, ExportedFile, Part, Port
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
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from edgepress.records.verdict import Verdict, Verdicts
from edgepress.report.run import (
    ClassCount,
    ConceptRun,
    Curation,
    Data,
    Example,
    Model,
    Provenance,
    Run,
    Shown,
    StageRun,
    TargetRun,
)
from tests.classified import open_task

CLASSES = tuple(str(digit) for digit in range(10))
INPUT = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
IMAGE = Port(tensor=INPUT.tensors[0], stored="image", layout="NCHW")
LOGITS = Port(
    tensor=TensorSpec(name="logits", shape=(1, 10), layout="NC"), stored="logits", layout="NC"
)
HERE = {
    "x86_64-onnxruntime-fp32": (0.9778, 0.41, 322_100, 84.0),
    "x86_64-onnxruntime-int8": (0.9756, 0.36, 98_400, 81.0),
    "x86_64-openvino-fp32": (0.9778, 0.24, 331_000, 142.0),
    "x86_64-openvino-int8": (0.9733, 0.17, 112_000, 139.0),
    "x86_64-litert-fp32": (0.9778, 0.52, 325_400, 44.0),
    "x86_64-litert-int8": (0.9711, 0.29, 91_200, 41.0),
    "x86_64-executorch-fp32": (0.9778, 0.61, 329_800, 160.0),
    "x86_64-executorch-int8": (0.9289, 0.66, 101_700, 158.0),
}
AWAY = {
    "apple-coreml-fp32": "Core ML predicts on macOS only; run validate on a Mac",
    "apple-coreml-int8": "Core ML predicts on macOS only; run validate on a Mac",
    "rtx-tensorrt_rtx-fp32": "no NVIDIA RTX GPU on this host; run validate where there is one",
    "rtx-tensorrt_rtx-int8": "no NVIDIA RTX GPU on this host; run validate where there is one",
    "jetson-tensorrt-fp32": "TensorRT builds its engine on the device; run validate on the Jetson",
    "jetson-tensorrt-int8": "TensorRT builds its engine on the device; run validate on the Jetson",
}


def exported(target: Target, size: int, classes: tuple[str, ...] = CLASSES) -> Exported:
    return Exported(
        target=target,
        format="onnx",
        parts=(Part(name="model", entry="model.onnx", inputs=(IMAGE,), outputs=(LOGITS,)),),
        files=(ExportedFile(path="model.onnx", sha256="ab" * 32, bytes=size),),
        input=INPUT,
        task={"method": "classification"},
        classes=classes,
        tools={"onnx": "1.23.2", "torch": "2.14.1"},
        bundle_sha256="b" * 64,
        calibration_sha256="c" * 64 if target.precision == "int8" else None,
        notes=("The first layer stays in float.",) if target.precision == "int8" else (),
    )


def around(value: float, share: float) -> Interval:
    return Interval(value=value, low=value * (1 - share), high=value * (1 + share))


def conditions() -> Conditions:
    return Conditions(
        machine="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        cores=2,
        isa_flags=("avx2", "avx512f", "avx512_vnni", "amx_int8"),
        emulated=False,
        load_average=0.84,
        cpu_mhz=2700.0,
        temperature_c=None,
        throttled=None,
        tools={"onnxruntime": "1.31.1", "openvino": "2026.4.1", "ai-edge-litert": "2.3.0"},
    )


def measured(key: str) -> TargetRun:
    target = Target.parse(key)
    accuracy, p50, size, memory = HERE[key]
    baseline = key.replace("int8", "fp32")
    speedup = HERE[baseline][1] / p50
    drop = 0.9778 - accuracy
    measurement = Measurement(
        target=target,
        exported_sha256="e" * 64,
        size_bytes=size,
        parity=Parity(
            outputs=(OutputParity(name="logits", error=0.03, cosine=0.9991, max_abs=0.31),),
            sample=256,
            agreement=0.991,
            changed=4,
            items=450,
        ),
        scores=(
            Score(
                name="accuracy",
                value=Interval(
                    value=accuracy, low=accuracy - 0.014, high=min(1.0, accuracy + 0.011)
                ),
                drop=Interval(value=drop, low=drop - 0.009, high=drop + 0.009),
                constant=0.1,
                items=450,
            ),
        ),
        latency=Latency(
            p50_ms=around(p50, 0.02),
            p90_ms=around(p50 * 1.3, 0.05),
            p99_ms=around(p50 * 2.1, 0.2),
            runs=1000,
            warmup_runs=50,
            threads=1,
            speedup=None if key == baseline else around(speedup, 0.04),
        ),
        peak_memory_mb=memory,
        energy=Energy(
            status="unavailable", millijoules=None, reason="no power counter on this host"
        ),
        conditions=conditions(),
        not_run={},
    )
    return TargetRun(
        target,
        exported(target, size),
        measurement=measurement,
        verdicts=verdicts(target, drop, p50, speedup),
        baseline=baseline,
        diagnosed=Diagnosed(ours=diagnosis(0 if key == baseline else 6), floats=diagnosis(0)),
        changed=() if key == baseline else (shown("digits/0004"),),
    )


def diagnosis(wrong: int) -> Diagnosis:
    """Real answers to 450 digits, of which 10 and so many more are wrong; and a made curve."""
    real = np.arange(450) % 10
    label = real.copy()
    label[: 10 + wrong] = (real[: 10 + wrong] + 1) % 10
    answers = {"label": label, "confidence": np.linspace(0.4, 0.99, 450).astype(np.float32)}
    found = open_task(CLASSES).diagnosis(answers, {"label": real})
    curves = tuple(
        Curve(name=name, x=(0.0, 0.5, 1.0), y=(1.0, y, 0.2), value=y, mark=(0.5, y))
        for name, y in (("3", 0.9), ("4", 0.7 - 0.01 * wrong))
    )
    chart = Chart(
        title="Precision and recall",
        x_title="recall",
        y_title="precision",
        value_title="ap",
        curves=curves,
        note="A mark is at the threshold.",
    )
    return found.model_copy(update={"charts": (chart, *found.charts)})


def shown(name: str) -> Shown:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    words = (("label", "4", None), ("float", "4 91%", None), ("int8", "5 51%", None))
    return Shown(name, "agreement 0", (("picture", "", file.getvalue()), *words))


def verdicts(target: Target, drop: float, p50: float, speedup: float) -> Verdicts:
    upper, lower = drop + 0.009, speedup * 0.96
    found = [
        gate(
            "accuracy", upper <= 0.02, upper, 0.02, "share", f"loses up to {100 * upper:.2f} points"
        ),
        gate("parity", True, 0.03, 0.1, "", "agrees with the Bundle"),
        gate("latency", True, p50 * 2.1, 20.0, "ms", "p99 is under the bound"),
        gate("size", True, 0.1, 5.0, "MB", "small enough"),
        gate("memory", True, 84.0, 1024.0, "MB", "fits"),
    ]
    if target.precision == "int8":
        found.append(
            gate(
                "speedup",
                lower > 1.0,
                lower,
                1.0,
                "×",
                f"at {lower:.2f} times the FP32 speed it is no faster; ship the FP32 file",
            )
        )
    return Verdicts(target=target, verdicts=tuple(found))


def gate(name: str, passed: bool, value: float, bound: float, unit: str, reason: str) -> Verdict:
    return Verdict(
        gate=name,
        outcome="pass" if passed else "fail",
        value=value,
        bound=bound,
        unit=unit,
        reason=reason,
    )


def not_run(key: str) -> TargetRun:
    target, reason = Target.parse(key), AWAY[key]
    parts = ("scores", "latency", "memory")
    measurement = Measurement(
        target=target,
        exported_sha256="f" * 64,
        size_bytes=120_000,
        parity=None,
        scores=(),
        latency=None,
        peak_memory_mb=None,
        energy=Energy(status="unavailable", millijoules=None, reason=reason),
        conditions=conditions(),
        not_run={"parity": reason, **dict.fromkeys(parts, reason)},
    )
    found = [
        Verdict(gate=name, outcome="not-run", value=None, bound=bound, unit=unit, reason=reason)
        for name, bound, unit in (
            ("accuracy", 0.02, "share"),
            ("parity", 0.1, ""),
            ("latency", 20.0, "ms"),
            ("memory", 1024.0, "MB"),
        )
    ]
    found.insert(3, gate("size", True, 0.12, 5.0, "MB", "small enough"))
    return TargetRun(
        target,
        exported(target, 120_000),
        measurement=measurement,
        verdicts=Verdicts(target=target, verdicts=tuple(found)),
        baseline=key.replace("int8", "fp32"),
    )


def model(name: str, parameters: int, accuracy: float, epochs: int) -> Model:
    history = tuple(
        {
            "epoch": epoch,
            "loss": 2.2 * math.exp(-epoch / 3) + 0.05,
            "train_accuracy": 1 - 0.8 * math.exp(-epoch / 2),
            "val_accuracy": accuracy - 0.7 * math.exp(-epoch / 2.5),
            "learning_rate": 0.1,
        }
        for epoch in range(1, epochs + 1)
    )
    bundle = Bundle(
        task={"method": "classification"},
        backbone={"method": "resnet_cifar", "depth": 8},
        head={"method": "linear"},
        classes=CLASSES,
        input=INPUT,
        parameters=parameters,
        macs=parameters * 220,
        lineage={"stage": "train"},
        weights_sha256="d" * 64,
    )
    return Model(name, bundle, history, {"accuracy": accuracy}, parameters * 4)


def pictures() -> tuple[Curation, dict[str, bytes]]:
    digits = load_digits()
    thumbnails, concepts = {}, []
    for digit in range(10):
        rows = np.flatnonzero(digits.target == digit)[:30]
        examples = []
        for place, row in enumerate(rows):
            name = f"digits/{row:04d}"
            file = io.BytesIO()
            Image.fromarray((digits.images[row] * 15.9).astype(np.uint8)).save(file, "PNG")
            thumbnails[name] = file.getvalue()
            examples.append(Example(name, str(digit), 0.1 + 0.01 * place))
        concepts.append(
            ConceptRun(
                f"Concept {digit}",
                126,
                126 - 5 * digit,
                0.19 - 0.012 * digit,
                tuple(examples[:8]),
                tuple(examples[8:16]) if digit else (),
            )
        )
    classes = tuple(ClassCount(str(digit), 126, 126 - 4 * digit) for digit in range(10))
    found = tuple(concepts)
    return Curation("concept_complexity", 1260, 1035, found, classes, found), thumbnails


def stages(targets: tuple[TargetRun, ...]) -> tuple[StageRun, ...]:
    seconds = {"ingest": 1.9, "check": 11.2, "embed": 9.0, "curate": 1.1}
    seconds |= {"train": 141.0, "distill": 37.2, "slim": 16.3}
    line = list(seconds)
    runs = [
        StageRun(name, None, seconds[name], 300.0, tuple(line[max(0, place - 1) : place]))
        for place, name in enumerate(line)
    ]
    runs += [StageRun("quantize", name, 4.2, 512.0, ("slim",)) for name in ("fp32", "int8")]
    for target in targets:
        after = (f"quantize@{target.target.precision}",)
        runs.append(StageRun("export", target.key, 6.3, 900.0, after))
    for target in targets:
        runs.append(StageRun("validate", target.key, 3.1, 400.0, (f"export@{target.key}",)))
    report = StageRun("report", after=tuple(f"validate@{target.key}" for target in targets))
    return (*runs, report, StageRun("register", after=("report",)))


@pytest.fixture(scope="session")
def finished() -> Run:
    """A run of the default job as it looks on a plain x86-64 machine."""
    targets = (*map(measured, HERE), *map(not_run, AWAY))
    curation, thumbnails = pictures()
    return Run(
        provenance=Provenance(
            project="digits",
            commit="70766bc4d21f0e0fd2b1a7c6e2c2a0e8a1b2c3d4",
            dirty=True,
            date="2026-11-22T08:05:11+00:00",
            machine="Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz, 2 cores, Linux",
            params_sha256="9" * 64,
            seed=0,
        ),
        stages=stages(targets),
        data=Data(
            "classification",
            CLASSES,
            {"train": 1260, "val": 126, "test": 450},
            {"truncated": 2, "CMYK": 1},
        ),
        curation=curation,
        models=(
            model("teacher", 1_083_722, 0.9911, 12),
            model("student", 75_290, 0.9822, 20),
            model("slim", 43_018, 0.9778, 6),
        ),
        targets=targets,
        thumbnails=thumbnails,
        hub="image-classification",
    )


@pytest.fixture
def empty(finished: Run) -> Run:
    """A run of which nothing but its provenance is known."""
    return replace(
        Run(provenance=finished.provenance), absent=("Data: the ingest stage has not run",)
    )
