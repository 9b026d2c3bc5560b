"""Gates: what is proven passes, what is not proven does not, and the reason gives the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.devices.energy import unavailable
from edgepress.devices.gates import Gates, judge
from edgepress.errors import UserError
from edgepress.records.measurement import (
    Accuracy,
    Conditions,
    Interval,
    Latency,
    Measurement,
    Parity,
)
from edgepress.records.target import Target
from edgepress.records.verdict import Verdict

FP32 = Target.parse("x86_64-onnxruntime-fp32")
INT8 = Target.parse("x86_64-onnxruntime-int8")
BOUNDS = Gates(
    max_accuracy_drop_points=2.0,
    min_cosine={"fp32": 0.9999, "int8": 0.98},
    max_p99_ms=20.0,
    max_size_mb=5.0,
    max_peak_memory_mb=1024.0,
    min_speedup=1.0,
)


def around(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


LATENCY = Latency(
    p50_ms=around(2.0, 1.9, 2.1),
    p90_ms=around(2.5, 2.4, 2.6),
    p99_ms=around(4.0, 3.0, 6.0),
    runs=1000,
    warmup_runs=100,
    threads=1,
    speedup=around(1.5, 1.4, 1.6),
)
GOOD = Measurement(
    target=INT8,
    exported_sha256="a" * 64,
    size_bytes=1_000_000,
    parity=Parity(cosine=0.99, max_abs=0.5, top1_agreement=0.99, images=450),
    accuracy=Accuracy(
        top1=around(0.95, 0.92, 0.97), drop_points=around(0.4, -0.5, 1.4), images=450
    ),
    latency=LATENCY,
    peak_memory_mb=100.0,
    energy=unavailable("no counter"),
    conditions=Conditions(
        machine="test",
        cores=2,
        isa_flags=("avx2",),
        emulated=False,
        load_average=0.5,
        cpu_mhz=None,
        temperature_c=None,
        throttled=None,
        tools={},
    ),
    not_run={},
)


def verdict(measurement: Measurement, gate: str) -> Verdict:
    (found,) = (v for v in judge(measurement, BOUNDS, FP32).verdicts if v.gate == gate)
    return found


def test_everything_passes_when_everything_is_proven() -> None:
    verdicts = judge(GOOD, BOUNDS, FP32)
    assert verdicts.outcome == "pass"
    assert [v.gate for v in verdicts.verdicts] == [
        "integrity",
        "parity",
        "accuracy",
        "latency",
        "size",
        "memory",
        "speedup",
    ]


def test_baseline_has_no_speedup_gate() -> None:
    own = GOOD.model_copy(
        update={
            "target": FP32,
            "parity": Parity(cosine=1.0, max_abs=0.0, top1_agreement=1.0, images=450),
        }
    )
    assert "speedup" not in [v.gate for v in judge(own, BOUNDS, FP32).verdicts]
    assert judge(own, BOUNDS, FP32).outcome == "pass"


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("parity", {"parity": Parity(cosine=0.97, max_abs=1, top1_agreement=1, images=9)}),
        (
            "accuracy",
            {
                "accuracy": Accuracy(
                    top1=around(0.95, 0.9, 0.99), drop_points=around(0.1, -3, 2.1), images=50
                )
            },
        ),
        ("latency", {"latency": LATENCY.model_copy(update={"p99_ms": around(19, 15, 21)})}),
        ("size", {"size_bytes": 5_000_001}),
        ("memory", {"peak_memory_mb": 1024.1}),
        ("speedup", {"latency": LATENCY.model_copy(update={"speedup": around(1.2, 0.99, 1.4)})}),
        ("integrity", {"not_run": {"integrity": "model.onnx is missing"}}),
    ],
)
def test_gate_fails_when_the_worse_end_is_beyond_the_bound(gate: str, change: dict) -> None:
    measurement = GOOD.model_copy(update=change)
    assert verdict(measurement, gate).outcome == "fail"
    assert judge(measurement, BOUNDS, FP32).outcome == "fail"


def test_slow_int8_is_rejected_with_the_numbers() -> None:
    slow = LATENCY.model_copy(
        update={"p50_ms": around(0.38, 0.37, 0.39), "speedup": around(0.79, 0.77, 0.81)}
    )
    reason = verdict(GOOD.model_copy(update={"latency": slow}), "speedup").reason
    assert "0.79 (0.77 to 0.81) times as fast as x86_64-onnxruntime-fp32" in reason
    assert "0.38 ms against 0.3002 ms" in reason
    assert "keep fp32" in reason


PARTS = {
    "parity": ("parity", ["parity"]),
    "accuracy": ("accuracy", ["accuracy"]),
    "latency": ("latency", ["latency", "speedup"]),
    "memory": ("peak_memory_mb", ["memory"]),
}


@given(st.sets(st.sampled_from(sorted(PARTS)), min_size=1), st.booleans())
def test_gate_never_passes_when_its_part_was_not_measured(missing: set[str], told: bool) -> None:
    gone = GOOD.model_copy(
        update={
            **{PARTS[part][0]: None for part in missing},
            "not_run": {part: f"no {part} here" for part in missing} if told else {},
        }
    )
    verdicts = judge(gone, BOUNDS, FP32)
    assert verdicts.outcome == "not-run"
    blocked = {gate for part in missing for gate in PARTS[part][1]}
    for one in verdicts.verdicts:
        assert one.outcome == ("not-run" if one.gate in blocked else "pass")
        assert one.reason
        if told and one.gate in missing:
            assert one.reason == f"no {one.gate} here"


def test_latency_is_not_run_when_p99_was_refused() -> None:
    few = GOOD.model_copy(update={"latency": LATENCY.model_copy(update={"p99_ms": None})})
    assert verdict(few, "latency").outcome == "not-run"
    assert "validate.runs" in verdict(few, "latency").reason


def test_precision_without_a_bound_is_the_users_to_mend() -> None:
    other = GOOD.model_copy(update={"target": Target.parse("x86_64-onnxruntime-int9")})
    with pytest.raises(UserError, match=r"min_cosine.*'int9'.*fp32, int8 \(did you mean int8"):
        judge(other, BOUNDS, FP32)


def test_reason_says_keep_the_baseline_when_the_speedup_may_be_none() -> None:
    latency = LATENCY.model_copy(update={"speedup": around(1.02, 0.98, 1.06)})
    assert "keep fp32" in verdict(GOOD.model_copy(update={"latency": latency}), "speedup").reason
    assert "keep fp32" not in verdict(GOOD, "speedup").reason
