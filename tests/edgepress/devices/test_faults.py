"""Fault injection: each way an export goes wrong in the field is blocked, healthy ones are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.devices import host, latency, measure, memory
from edgepress.devices.accuracy import accuracy
from edgepress.devices.gates import Gates, judge
from edgepress.devices.latency import Plan
from edgepress.devices.measure import Reference
from edgepress.devices.parity import parity
from edgepress.devices.subject import Subject
from edgepress.records.measurement import Interval, Latency
from edgepress.records.target import Target

PLAN = Plan(warmup=5, runs=400, threads=1, confidence=0.95, seed=0)
BOUNDS = Gates(
    max_accuracy_drop_points=2.0,
    min_cosine={"fp32": 0.9999, "int8": 0.98},
    max_p99_ms=20.0,
    max_size_mb=5.0,
    max_peak_memory_mb=1024.0,
    min_speedup=1.0,
)
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
ANSWERS = {"parity", "accuracy"}
Write = Callable[..., Subject]
Change = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are in the answers: give every export good times and little memory."""

    def near(value: float) -> Interval:
        return Interval(value=value, low=value, high=value)

    fast = Latency(
        p50_ms=near(0.1),
        p90_ms=near(0.1),
        p99_ms=near(0.1),
        runs=400,
        warmup_runs=10,
        threads=1,
        speedup=near(2.0),
    )
    held = memory.Memory("ran", peak_mb=80.0, idle_mb=40.0)
    monkeypatch.setattr(latency, "measure", lambda call, other, plan: fast)
    monkeypatch.setattr(memory, "measure", lambda folder, threads: held)


def swapped_channels(weights: Any) -> Any:
    blocks = weights.first.reshape(3, 256, -1)[::-1]
    return dataclasses.replace(weights, first=blocks.reshape(weights.first.shape))


def swapped_layout(weights: Any) -> Any:
    """NCHW read as NHWC."""
    blocks = weights.first.reshape(16, 16, 3, -1).transpose(2, 0, 1, 3)
    return dataclasses.replace(weights, first=blocks.reshape(weights.first.shape))


def one_scale_for_all_channels(weights: Any) -> Any:
    """What an opset below 13 makes of per-channel scales: the first one serves all."""
    scales = np.abs(weights.second).max(axis=0)
    return dataclasses.replace(weights, second=weights.second * (scales[0] / scales))


def nan_weight(weights: Any) -> Any:
    spoiled = weights.second_bias.copy()
    spoiled[3] = np.nan
    return dataclasses.replace(weights, second_bias=spoiled)


def permuted_classes(weights: Any) -> Any:
    return dataclasses.replace(
        weights,
        second=np.roll(weights.second, 1, axis=1),
        second_bias=np.roll(weights.second_bias, 1),
    )


@pytest.fixture
def blocked_by(digits: Any, reference: Reference) -> Callable[..., set[str]]:
    """Return the gates that do not pass an export, measured as a target of its precision."""

    def gates_of(subject: Subject) -> set[str]:
        batches = np.array_split(digits[1].inputs(subject.exported.input), 3)
        found = measure.measure(subject, None, reference, batches, PLAN)
        judged = judge(found, BOUNDS, Target.parse(f"{HERE}-fp32"))
        blocked = {v.gate for v in judged.verdicts if v.outcome != "pass"}
        assert (judged.outcome == "pass") == (not blocked)
        return blocked

    return gates_of


@pytest.fixture
def made(write: Write, graph: Any, quantized: Any) -> Callable[..., Subject]:
    """Return a function that exports weights at a precision; an export may differ in more."""

    def make(weights: Any, precision: str, softmax: bool = False, **more: Any) -> Subject:
        model = graph(weights, softmax)
        if precision == "int8":
            model = quantized(model)
        return write(model, f"{HERE}-{precision}", **more)

    return make


precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])


@precisions
def test_healthy_export_passes(precision: str, weights: Any, made: Any, blocked_by: Any) -> None:
    assert blocked_by(made(weights, precision)) == set()


@precisions
@pytest.mark.parametrize(
    "fault",
    [
        swapped_channels,
        swapped_layout,
        one_scale_for_all_channels,
        nan_weight,
        permuted_classes,
    ],
)
def test_wrong_weights_are_blocked(
    precision: str, fault: Change, weights: Any, made: Any, blocked_by: Any
) -> None:
    if fault is nan_weight and precision == "int8":
        pytest.skip("the quantizer itself refuses weights with NaN")
    assert ANSWERS & blocked_by(made(fault(weights), precision))


@precisions
def test_stale_weights_are_blocked(precision: str, stale: Any, made: Any, blocked_by: Any) -> None:
    assert ANSWERS & blocked_by(made(stale, precision))


@precisions
def test_export_of_another_bundle_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any
) -> None:
    assert "integrity" in blocked_by(made(weights, precision, bundle="c" * 64))


@precisions
@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.485, 0.456, 0.406)])
def test_wrong_mean_is_blocked(
    precision: str, mean: Any, weights: Any, made: Any, blocked_by: Any, spec: Any
) -> None:
    wrong = spec.model_copy(update={"mean": mean})
    assert ANSWERS & blocked_by(made(weights, precision, spec=wrong))


@precisions
def test_wrong_scale_of_pixels_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any, spec: Any
) -> None:
    wrong = spec.model_copy(update={"std": tuple(255 * value for value in spec.std)})
    assert ANSWERS & blocked_by(made(weights, precision, spec=wrong))


@precisions
def test_softmax_too_many_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any
) -> None:
    assert ANSWERS & blocked_by(made(weights, precision, softmax=True))


@precisions
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_file_is_blocked(
    precision: str, kept: float, weights: Any, made: Any, blocked_by: Any
) -> None:
    subject = made(weights, precision)
    file = subject.folder / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    assert "integrity" in blocked_by(subject)


def test_saturating_int8_is_blocked_where_the_processor_has_no_vnni(
    model: Any, write: Write, digits: Any, quantize: Any, spec: Any, blocked_by: Any, tmp_path: Path
) -> None:
    if host.here().architecture != "x86_64" or host.here().vnni:
        pytest.skip("this processor does not saturate")
    (tmp_path / "work").mkdir()
    images = digits[0].inputs(spec)[:64]
    wide = quantize(model, images, tmp_path / "work", reduce_range=False)
    assert ANSWERS & blocked_by(write(wide, f"{HERE}-int8"))


def test_false_alarms_are_rare_when_healthy_exports_are_judged_on_other_images(
    weights: Any, made: Any, digits: Any, reference: Reference
) -> None:
    """Draw 500 test sets per precision from the real one; none of the two exports is at fault."""
    rng = np.random.default_rng(0)
    alarms = {"fp32": 0, "int8": 0}
    for precision in alarms:
        session = made(weights, precision).load(1)
        images = digits[1].inputs(made(weights, precision).exported.input)
        logits = np.concatenate([session.run(image[None]) for image in images])
        for _ in range(500):
            pick = rng.integers(0, len(logits), len(logits))
            drop = accuracy(
                logits[pick], reference.logits[pick], reference.labels[pick], 0.95
            ).drop_points
            cosine = parity(logits[pick], reference.logits[pick]).cosine
            alarms[precision] += (
                drop.high >= BOUNDS.max_accuracy_drop_points
                or cosine < BOUNDS.min_cosine[precision]
            )
    assert alarms["fp32"] == 0
    # This INT8 loses 0.2 points: 450 images fail to prove that it loses under 2 in 2.8 % of draws.
    assert alarms["int8"] <= 25
