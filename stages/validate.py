"""Prove one target's export on this machine: `python -m stages.validate x86_64-onnxruntime-int8`.

A failing gate is a result, not an error: it is written as a Verdict and blocks registration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepress.data.images import ImageSet
from edgepress.devices.gates import Gates, judge
from edgepress.devices.latency import Plan
from edgepress.devices.measure import Reference, measure
from edgepress.devices.protocol import Protocol
from edgepress.devices.subject import Subject
from edgepress.errors import UserError
from edgepress.params import lookup
from edgepress.records.measurement import Measurement
from edgepress.records.quantized import REFERENCE, Quantized
from edgepress.records.record import sha256_file
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts
from stages.stage import PARAMS, Stage, main

MANIFEST = Path("data/manifest")
QUANTIZED = Path("data/quantized")
EXPORTED = Path("data/exported")
BATCH = 64


def work(stage: Stage) -> None:
    """Read data/exported/<target> and its baseline, write data/measured/<target>."""
    target = Target.parse(str(stage.key))
    how = stage.section(Protocol, "validate")
    bounds = stage.section(Gates, "gates")
    bounds.least_cosine(target)  # Asked before the long part rather than after it.
    # A target's key holds no dot, so it can be looked up beside the options it names.
    baseline = Target.parse(str(lookup(stage.raw("targets"), f"{target}.baseline", str(PARAMS))))
    subject = Subject.read(EXPORTED / str(target))
    rival = None if baseline == target else Subject.read(EXPORTED / str(baseline))
    reference, images = _truth(target)
    batches = images.batches(subject.exported.input, BATCH)
    plan = Plan(**how.model_dump(), seed=stage.seed)
    measurement = measure(subject, rival, reference, batches, plan)
    verdicts = judge(measurement, bounds, baseline)
    with stage.output(f"data/measured/{target}") as folder:
        measurement.write(folder)
        verdicts.write(folder)
    stage.metrics(**_numbers(measurement, verdicts))


def _truth(target: Target) -> tuple[Reference, ImageSet]:
    """Return the float Bundle's answers and the test images they belong to, in the same order."""
    folder = QUANTIZED / target.precision
    quantized = Quantized.read(folder)
    path = folder / REFERENCE
    reference = Reference.read(path, quantized.bundle_sha256)
    if sha256_file(path) != quantized.reference_sha256:
        raise UserError(f"{path}: changed since quantize@{target.precision}; run it again")
    images = ImageSet.open(MANIFEST, "test")
    if list(reference.ids) != images.ids:
        pairs = zip(reference.ids, images.ids, strict=False)
        first = next((pair for pair in pairs if pair[0] != pair[1]), ("the end", "the end"))
        raise UserError(
            f"{path}: its {len(reference.ids)} images are not the {len(images)} of the test split "
            f"of {MANIFEST} (first at {first[0]} against {first[1]}); run quantize again"
        )
    return reference, images


def _numbers(measurement: Measurement, verdicts: Verdicts) -> dict[str, Any]:
    """Return the numbers worth comparing between runs; what was not measured is left out."""
    outcomes = [verdict.outcome for verdict in verdicts.verdicts]
    counts = {name.replace("-", "_"): outcomes.count(name) for name in ("pass", "fail", "not-run")}
    latency, accuracy, parity = measurement.latency, measurement.accuracy, measurement.parity
    numbers: dict[str, Any] = {
        "size_mb": measurement.size_bytes / 1e6,
        "peak_memory_mb": measurement.peak_memory_mb,
        "cosine": parity and parity.cosine,
        "top1": accuracy and accuracy.top1.value,
        "drop_points": accuracy and accuracy.drop_points.value,
        "drop_points_high": accuracy and accuracy.drop_points.high,
        "p50_ms": latency and latency.p50_ms.value,
        "p90_ms": latency and latency.p90_ms.value,
        "p99_ms": latency and latency.p99_ms and latency.p99_ms.value,
        "speedup": latency and latency.speedup and latency.speedup.value,
        "speedup_low": latency and latency.speedup and latency.speedup.low,
        "millijoules": measurement.energy.millijoules,
    }
    rounded = {name: round(value, 6) for name, value in numbers.items() if value is not None}
    return {"verdicts": counts, **rounded}


if __name__ == "__main__":
    main("validate", work, keyed=True)
